"""Mail: one function per message (`messages`), an outbox of rows (`outbox`), and the way out (`transport`)."""
