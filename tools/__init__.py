"""What makes the documents: tables and pictures from results, and the site."""
