"""What a person sends again, or sets aside."""
