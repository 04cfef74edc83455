"""A stand-in for eSIM Access (API v1) that a client on a socket cannot tell from the real one.

The API is under `/api/v1/open`; `/esims/` is a page for people. Nothing here is a real eSIM: the profiles point to
`smdp.example.com`, the ICCIDs are of a range that no operator owns.

Controls
========

Each is a method of `EsimAccessSandbox` (or of its `webhooks`), and a `POST /_control/esim-access/<name>` whose JSON
has the same parameters (`esimTranNo` or `esim_tran_no`). Answers: 200, 400 wrong parameter, 404 no such control,
409 the eSIM's state does not allow it.

======================  =======================================  =====================================================
HTTP                    Python                                   what happens
======================  =======================================  =====================================================
install                 install(esim_tran_no)                    on the phone: ENABLED, EID; three SMDP_EVENTs
connect                 connect(esim_tran_no)                    first network connection: IN_USE, the clock starts
burn                    burn(esim_tran_no, bytes | percent)      data used; DATA_USAGE at 50/80/90 %, USED_UP at zero
delete-from-phone       delete_from_phone(esim_tran_no)          the profile is gone from the phone
advance                 advance(days, hours)                     time passes: dates slip back, plans expire
allocation              set_allocation(seconds, polls, held)     profiles come after seconds (null: never) and polls;
                                                                 held: nothing comes until held is false again;
                                                                 what is not named stays as it was
allocate                allocate()                               hand out every waiting profile now
balance                 set_balance(balance)                     USD x 10,000
stock                   set_stock(package_code, stock)           eSIMs left; null: enough
price                   set_price(package_code, price)           USD x 10,000; null: as in the price list
non-rechargeable        make_non_rechargeable(esim_tran_no)      no top-up for this eSIM any more
reuse-iccid             reuse_iccid(earlier, later)              `later` (esimTranNo; none: the next order) gets the
                                                                 ICCID of `earlier`
variants                set_variants(...)                        see below
refresh-usage           refresh_usage()                          usage is exact once, under stale_usage
faults                  fault(path, kind, count, seconds,        see below; DELETE switches all off, GET lists
                        probability, seed)
reset                   reset()                                  forget everything, also address, faults, skipped time
webhook-url             webhooks.set_url(url)                    the shop's address, without a health check
webhooks/hold           webhooks.hold()                          keep notifications back
webhooks/release        webhooks.release(reverse)                send them, in order or latest first
webhooks/drop           webhooks.drop(count)                     lose the next ones
webhooks/duplicate      webhooks.duplicate(count)                send each of the next ones twice
webhooks/chaos          webhooks.chaos(doubled, dropped,         shares of them are sent twice, never, or up to
                        delayed, seconds, seed)                  seconds (5) late; without any field all arrive
webhooks/unknown-order  send_unknown_order_webhook()             ORDER_STATUS of an order that nobody made
webhooks/send           webhooks.send(notify_type, content)      any content, true or forged
======================  =======================================  =====================================================

To read: `GET state` (`summary()`), `GET log` (`log()`), `GET counters` (`counters()`), `GET webhooks`
(`webhooks.sent()`), `GET faults`. Python only: `esims()`, `esim(number)`, `balance`, `clock`, `url`,
`orders.wait_ready(transaction_id, timeout)`, `webhooks.held()`, `webhooks.wait_idle(timeout)`.

The log has method, path, transactionId, outcome (executed, replayed, refused, faulted), executed (had an effect),
errorCode and fault. The counters are `orders_executed`, `topups_executed`, and `orders` and `topups` by
transactionId: a number above 1 is a double purchase; and `faults`: how many requests met which kind.

Faults
======

`path` as "/esim/order", or "*". `kind`:

* `timeout_before`, `timeout_after_commit`: no answer, the connection closes after `seconds` (0: at once); the request
  was not, or was, carried out.
* `500`, `500_after_commit`, `bad_json`, `bad_json_after_commit`: a useless answer, likewise.
* `429`; `error:<code>`: a refusal of the API, as `error:900001`; neither is carried out.
* `slow`: a good answer, `seconds` late.

`count` requests are hit (null: until cleared), each with `probability` drawn from `seed`.

Variants
========

* `success_as_text`: "true" instead of true. `error_message_key`: errorMsg or errorMessage. `ok_code`: "0" or null.
* `time_format`: offset (+0000) or z.
* `duplicate_order`: replay answers a repeated transactionId with the first order; 310402 refuses it.
* `topup_idempotent`: off, as nobody promises it: a repeated top-up is carried out again.
* `usage_shape`: object (`obj.esimUsageList`) or list (`obj`). `stale_usage`: usage stands still until refreshed.
* `rate_limit`: requests per second beyond which HTTP 429 is answered; 0 for none. The documented limit is 8.
* `list_hidden`: also list the plans SIM-FAIL-...; asked for by code they are always found.
* `bare_webhooks`: without notifyId and eventGenerateTime. `early_webhooks`: ORDER_STATUS before the profiles.

Plans that fail: SIM-FAIL-STOCK (200011), SIM-FAIL-BALANCE (200007), SIM-FAIL-TIMEOUT (bought, but the first answer
never comes), SIM-FAIL-SLOW (profiles 25 s later than others).
"""

from sandbox.esim_access.control import EsimAccessSandbox
from sandbox.esim_access.errors import ApiError
from sandbox.esim_access.esim import Esim

__all__ = ["ApiError", "Esim", "EsimAccessSandbox"]
