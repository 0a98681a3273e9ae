"""Rules that need to know what is kept: referral codes, stale traits, awards made once."""
