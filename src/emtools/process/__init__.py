"""Image -> Image, and the preparation that every measurement of a picture shares."""
