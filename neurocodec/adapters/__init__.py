"""Networks and recordings of other people's formats, as neurocodec takes them."""
