"""What a person looks at: figures, videos and the report of the comparison."""
