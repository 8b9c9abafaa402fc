"""What is learned of thousands of networks before any is trained by itself."""
