"""The station agent: drivers of dispensers, a journal that survives power cuts, the link to the centre."""
