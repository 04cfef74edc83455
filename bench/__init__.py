"""What a page costs: CPU per request beside a bare Flask application under the same server, SQL statements, memory."""
