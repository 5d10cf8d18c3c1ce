"""What several sources share: bytes into pictures, samples and rows. Opens no device."""
