"""Mail: composed in one place, posted in another."""
