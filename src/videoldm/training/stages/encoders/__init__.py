"""The stage of the text and the image encoder."""
