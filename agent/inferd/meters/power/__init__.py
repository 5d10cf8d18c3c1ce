"""Power in watts: measured if there is a meter, else estimated; the reading says which."""
