"""A stand-in for Stripe: the API, the hosted payment page, signed webhooks, and a handle on all of it.

The shop's real Stripe client talks to `/v1/` at the sandbox's address without knowing the difference
(`stripe.StripeClient(key, base_addresses={"api": sandbox.url})`). Parameters that the installed client library does
not name are refused and objects carry every key it knows, so that upgrading the library shows up in a test.

**Pages.** `GET /c/pay/<session>` is the hosted payment page, `GET /c/authenticate/<payment intent>` the 3-D Secure
step, `/stripe/` the dashboard. On the payment page the fields are `email`, `method` and `card_number`; the button
`action=pay` pays, `action=back` goes to `cancel_url`, and `card=<number>` pays with that test card. On the step page
the button is `outcome=complete|fail|cancel`. A refusal is shown in place (402), an expired page answers 410.

**Test cards.** 4242424242424242 succeeds; 4000000000000002 declined; 4000000000009995 no funds; 4000000000000069
expired; 4000000000000119 processing error; 4000002500003155 asks for 3-D Secure until it was saved to a customer with
it; 4000000000003220 and 4000002760003184 ask every time, so that charging them off-session fails with
`authentication_required`; 4000008260003178 asks and then has no funds; 4000000000000259 succeeds and is disputed.
PayPal, Alipay, WeChat Pay and Link succeed at once; SEPA Direct Debit completes the session unpaid and waits for
`sessions/async`.

**Control.** Everything is a method of `StripeSandbox` and a URL under `/_control/stripe/`. A POST takes a JSON object
with the arguments named here (`=` gives the default) and answers JSON; a mistake answers 4xx with `{"error": ...}`.

- `POST reset`; `reset()`: forgets objects, idempotency keys, faults, clock and log, and ends holding,
  doubling and losing of events; the webhook address, secrets and retries stay.
- `POST clock/advance` `seconds`; `advance(timedelta)`: skips time, so that sessions expire and keys are forgotten.
- `POST faults` (see below); `fault(kind, ...)`: what goes wrong with the next requests; answers `number`.
- `POST faults/clear`; `faults.clear()`: takes faults and chaos back.
- `POST chaos` `probability`, `seed=0`, `kinds`, `method="*"`, `path="/v1/*"`; `chaos(...)`: random faults; 0 ends them.
- `POST sessions/pay` `session`, `card="4242424242424242"`, `method="card"`, `email=null`, `outcome="complete"`,
  `wait=true`; `pay(...)`: pays as the buyer would. `outcome` answers 3-D Secure (null leaves it open); `wait` waits for
  the delivery of `checkout.session.completed`. Answers `status`, `payment_status`, `code`, `decline_code`, `message`.
- `POST sessions/async` `session`, `succeeded=true`; `settle_async_payment(...)`: a delayed payment succeeds or fails.
- `POST refunds/create` `charge`, `amount=null`, `reason=null`; `refund(...)`: a refund made in the Dashboard.
- `POST refunds/settle` `refund`, `status="failed"` (`succeeded`, `canceled`), `reason="expired_or_canceled_card"`;
  `settle_refund(...)`: a refund ends later, also one that had succeeded.
- `POST refunds/outcome` `status`; `account.refund_status = ...`: what new refunds begin with: `succeeded`, `pending` or
  `requires_action`.
- `POST disputes/open` `charge`, `reason="fraudulent"`, `inquiry=false`; `open_dispute(...)`.
- `POST disputes/close` `dispute`, `outcome="lost"` (`won`, `warning_closed`); `close_dispute(...)`.
- `POST webhooks` any of `url`, `secrets`, `retry_delays`, `copies`, `timeout`; `webhook_url = ...`, `webhooks.* = ...`:
  where and how events are sent. Two secrets sign twice; `copies` is how often each event is delivered, at once;
  `retry_delays` are seconds.
- `POST webhooks/hold`; `webhooks.hold()`: new events are kept back.
- `POST webhooks/release` `order="oldest"` (`newest`, `random`), `seed=0`, `event_ids=null`; `webhooks.release(...)`:
  sends held events one after the other; with `event_ids` only those, in that order, and holding goes on.
- `POST webhooks/drop` `count`, `types=[]`; `webhooks.drop_next(...)`: the next events (of those types) are lost.
- `POST webhooks/chaos` `doubled=0`, `dropped=0`, `delayed=0`, `seconds=5`, `seed=0`; `webhooks.chaos(...)`: shares of
  new events are sent twice, never, or up to `seconds` late and so out of order; without any field everything arrives.
- `POST webhooks/resend` `event`, `times=1`, `parallel=false`; `resend(...)`: sends an event now; answers `deliveries`.
- `POST webhooks/twin` `event`; `twin(event)`: a second event with another identity for the same change.
- `POST webhooks/emit` `type`, `object`; `emit(type, object)`: an event of any type about anything.
- `POST webhooks/forge` `payload` or `payload_base64`, `secrets=null`, `age=0` (seconds), `scheme="v1"`, `header=null`,
  `unsigned=false`; `forge(bytes, ...)`: sends any bytes, signed rightly, wrongly, long ago or not at all. Answers
  `status`, `error`, `body`.
- `POST webhooks/wait` `seconds=10`; `wait_for_webhooks(seconds)`: waits until nothing is under way; answers `idle`.
- `GET requests` `?method=&path=` (its beginning); `requests(...)`: the log with `method`, `path`, `idempotency_key`,
  `status` (null: connection dropped), `outcome` (`executed`, `replayed`, `refused`) and `fault`.
- `GET summary` `?key=order`; `summary(key)`: counts by state, `deliveries`, and `by_metadata`: per value of that
  metadata key `sessions`, `charges`, `captured`, `refunded`.
- `GET charges` `?value=&key=order`; `charges_for(value, key)`: the succeeded charges of one order.
- `GET objects/<kind>`; `objects(kind)`: all objects by prefix: `cs pi seti cus pm ch re dp evt`.
- `GET faults`, `GET webhooks`; `faults.waiting()`, `faults.met()`, `webhooks.deliveries()`: what is set, how many
  requests met which fault, and each event's delivery.

**Faults.** `kind` is a status (`"500"`, `"503"`, `"429"`, `"409"`), `drop_before` (the connection is closed, nothing
happened), `drop_after` (it happened, then the connection is closed without an answer), `slow` (waits `seconds=1` with
the idempotency key in use, then goes on; with `executed` it waits after the effect) or `bad_json` (it happened, the
answer is HTML). Further: `method="*"`, `path="/v1/*"` (a shell pattern), `count=1` (null: for ever), `skip=0` (requests
let through first), `executed` (whether the request has its effect), `saved=false` (a status is kept for the idempotency
key and replayed, as Stripe does with a 500 once execution began; implied by `executed`), `should_retry` (the header
`Stripe-Should-Retry`), and `probability=1` with `seed=0` (which of the matching requests meet it).
"""

from sandbox.stripe.delivery import Delivery
from sandbox.stripe.faults import Chaos, Fault
from sandbox.stripe.service import Payment, StripeSandbox

__all__ = ["Chaos", "Delivery", "Fault", "Payment", "StripeSandbox"]
