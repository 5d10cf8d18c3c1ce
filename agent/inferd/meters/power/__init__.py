"""Power in watts: measured where there is a meter, else estimated, and always said which."""
