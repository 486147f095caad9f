"""What the SQL of pending revisions would lock, rewrite and drop on a live database."""
