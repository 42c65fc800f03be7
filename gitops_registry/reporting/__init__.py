"""What a check said, as text, Markdown, annotations, SARIF, JUnit and JSON: pure functions of one `Review`."""
