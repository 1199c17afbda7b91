"""The price book: what a product costs at a station from when, and which price each nozzle has acknowledged."""
