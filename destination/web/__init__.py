"""The receiver: a small Flask app that takes calls in, and tells whether all is well."""
