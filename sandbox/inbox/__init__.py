"""A mailbox for everyone: an SMTP server that keeps every mail, pages to read them, and controls to misbehave.

Pages: `/inbox/` (`?to=` one recipient), `/inbox/<id>`, and below it `/html`, `/part/<number>`, `/source`.

Controls, as methods and as `POST /_control/inbox/<name>` with the parameters as JSON (200, 400, 404):

=========  =====================================  ==================================================================
HTTP       Python                                 what happens
=========  =====================================  ==================================================================
clear      clear()                                every mail is forgotten
refuse     server.refuse(count, kind, stage)      the next mails are refused: `temporary` (451) or `permanent` (550),
                                                  at the `recipient` or the `data`
drop       server.drop(count, when)               the connection closes instead of the final answer: `after` the mail
                                                  was kept, or `before`
chaos      server.chaos(probability, seed,        mails at random meet one of `drop_before`, `drop_after` and
           kinds)                                 `temporary`; a probability of 0 ends it
behave     server.behave()                        everything is accepted again
down, up   server.down(), server.up()             the server stops listening, or listens again on the same port
=========  =====================================  ==================================================================

`GET /_control/inbox/messages?to=&subject=` lists mails as JSON, `DELETE` forgets them. In Python: `messages(to,
subject)`, `message(id)`, `wait_for(to, subject_contains, timeout)`, `server.met()`: how many mails met what.
"""

from sandbox.inbox.mailbox import Inbox
from sandbox.inbox.message import Attachment, Message

__all__ = ["Attachment", "Inbox", "Message"]
