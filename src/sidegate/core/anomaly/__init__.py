"""What is unusual about a machine identity (spec 3.4): bounded state tables and their arithmetic."""
