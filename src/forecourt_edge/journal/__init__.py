"""The station's store of facts until the centre has them: one SQLite file, one writer, fsync first."""
