"""Mail: one function per message (`messages`), an outbox of rows (`outbox`), and the way out (`transport`).

`redirection` turns mails around whose address was wrong.
"""
