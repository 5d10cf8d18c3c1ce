"""The checks of `inferd doctor`. Pure: facts in, findings out."""
