"""The price book: what a product costs where and from when, and which price each nozzle acknowledged."""
