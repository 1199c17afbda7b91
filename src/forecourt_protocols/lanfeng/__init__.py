"""蓝峰 dispensers on a serial line: twelve bytes a frame, one question at a time. Bytes in, messages out."""
