"""Supplier cases 17 to 21: a renewal is paid for an eSIM that waits, is over, or has got somebody else's number."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from models import Esim, EsimStatus, Order, OrderKind
from services.money import GIGABYTE
from tests import both_databases
from tests.faults import trade
from tests.faults.buyer import Buyer
from tests.faults.running_shop import RunningShop
from tests.faults.trade import QUERY, TOPUP


def at_supplier(running: RunningShop, esim: Esim) -> tuple[int, int]:
    """Return the gigabytes and days that the supplier holds for an eSIM."""
    theirs = running.money.at_supplier(esim)
    return theirs.total_volume // GIGABYTE, theirs.total_days


def renew(running: RunningShop, buyer: Buyer, esim: Esim) -> Order:
    """Return a renewal that a traveller has just paid on the pages of the account."""
    session_id = buyer.session_of(buyer.send(buyer.fill_in_renewal(esim.public_id)))
    buyer.pay(session_id)
    buyer.come_back(session_id)
    return running.orders_of(buyer)[-1]


@both_databases
def test_supplier_17_a_topup_of_an_esim_that_is_not_connected_adds_up(running_shop: RunningShop) -> None:
    """Data and days add up, also of two renewals that are paid in the same moment, and the page says so."""
    buyer, esim = running_shop.owner()
    trade.deliver(running_shop, renew(running_shop, buyer, esim))
    assert at_supplier(running_shop, esim) == (2, 14)
    baskets = [trade.fill_basket(running_shop, OrderKind.RENEWAL, esim) for _twice in range(2)]
    running_shop.at_once(*(lambda each=basket: each.buyer.pay(each.session_id) for basket in baskets))
    trade.deliver(running_shop, *(basket.order for basket in baskets))
    assert at_supplier(running_shop, esim) == (4, 28)
    assert running_shop.money.requests(TOPUP) == 3
    ours = running_shop.money.row(Esim, esim.id)
    assert (ours.status, ours.total_bytes, ours.total_days) == (EsimStatus.NEW, 4 * GIGABYTE, 28)
    page = buyer.get(f"/en/account/esims/{esim.public_id}")
    assert "4 GB" in page.text


@both_databases
def test_supplier_18_a_topup_of_an_esim_that_has_expired(running_shop: RunningShop) -> None:
    """An eSIM that ends before its renewal is paid for cannot be topped up: the money goes back at once."""
    esim = trade.own_esim(running_shop)
    running_shop.supplier.connect(esim.supplier_esim_id)
    basket = trade.fill_basket(running_shop, OrderKind.RENEWAL, esim)
    running_shop.supplier.advance(days=8)
    order = trade.pay(running_shop, basket)
    trade.refund(running_shop, order, cause="refused")
    trade.check_mails(running_shop, order, "receipt", "refund-")
    assert at_supplier(running_shop, esim) == (1, 7)


@both_databases
@pytest.mark.parametrize("path", ["/esim/cancel", "/esim/revoke"])
def test_supplier_19_a_topup_of_an_esim_that_was_taken_away(running_shop: RunningShop, path: str) -> None:
    """An eSIM that was cancelled or revoked cannot be topped up: the money goes back at once."""
    basket = trade.fill_basket(running_shop, OrderKind.RENEWAL)
    esim = running_shop.money.esim_of(basket.order)
    trade.ask_the_supplier(running_shop, path, esim)
    order = trade.pay(running_shop, basket)
    trade.refund(running_shop, order, cause="refused")
    trade.check_mails(running_shop, order, "receipt", "refund-")
    assert running_shop.money.row(Esim, esim.id).status is EsimStatus.CANCELLED


@both_databases
def test_supplier_19_a_topup_of_an_esim_that_the_supplier_has_recycled(running_shop: RunningShop) -> None:
    """An eSIM that the supplier does not know any more for an hour is gone: the money goes back, nothing is sent."""
    basket = trade.fill_basket(running_shop, OrderKind.RENEWAL)
    running_shop.supplier.fault(QUERY, "error:310272", count=None)
    order = trade.pay(running_shop, basket)
    trade.pass_time(running_shop, minutes=50)
    assert running_shop.is_paid(order)
    trade.refund(running_shop, order, cause="refused")
    assert running_shop.money.requests(TOPUP) == 0


@both_databases
def test_supplier_19_a_topup_finds_no_esim(running_shop: RunningShop) -> None:
    """A top-up that the supplier turns away because it knows no such eSIM has bought nothing: refunded after a day."""
    basket = trade.fill_basket(running_shop, OrderKind.RENEWAL)
    running_shop.supplier.fault(TOPUP, "error:310272", count=None)
    order = trade.pay(running_shop, basket)
    trade.pass_time(running_shop, hours=23)
    assert running_shop.is_paid(order)
    trade.pass_time(running_shop, hours=2)
    trade.refund(running_shop, order, cause="late")


@both_databases
def test_supplier_20_a_topup_of_an_esim_that_takes_none(running_shop: RunningShop) -> None:
    """What turns out not to be rechargeable after paying is refunded at once, and not offered again."""
    buyer, esim = running_shop.owner()
    form = buyer.fill_in_renewal(esim.public_id)
    running_shop.supplier.make_non_rechargeable(esim.supplier_esim_id)
    session_id = buyer.session_of(buyer.send(form))
    buyer.pay(session_id)
    buyer.come_back(session_id)
    order = running_shop.orders_of(buyer)[-1]
    trade.refund(running_shop, order, cause="refused")
    trade.check_mails(running_shop, order, "receipt", "refund-")
    assert at_supplier(running_shop, esim) == (1, 7)
    running_shop.advance(minutes=11)
    page = buyer.get(f"/en/account/esims/{esim.public_id}/renewal")
    assert page.soup.select("form button.button--primary") == []


@both_databases
def test_supplier_21_a_new_esim_gets_the_number_of_an_earlier_one(running_shop: RunningShop) -> None:
    """ICCIDs are reused: each traveller sees, reads and renews the own eSIM only, whatever number it carries."""
    first_buyer, first = running_shop.owner()
    running_shop.supplier.reuse_iccid(first.supplier_esim_id)
    second_buyer, second = running_shop.owner()
    assert first.iccid == second.iccid
    assert len({esim.supplier_esim_id for esim in running_shop.rows(select(Esim))}) == 2
    first_buyer.get(f"/en/account/esims/{second.public_id}", 404)
    second_buyer.get(f"/en/account/esims/{first.public_id}", 404)
    running_shop.supplier.burn(second.supplier_esim_id, percent=50)
    running_shop.advance(hours=2)
    running_shop.ring("sync_usage")
    # The supplier's notifications have it read, too: whoever comes second leaves it to the first.
    running_shop.calm()
    used = [running_shop.money.row(Esim, esim.id).used_bytes for esim in (first, second)]
    assert used == [0, GIGABYTE // 2]
    trade.deliver(running_shop, renew(running_shop, first_buyer, first))
    assert (at_supplier(running_shop, first), at_supplier(running_shop, second)) == ((2, 14), (1, 7))
    trade.deliver(running_shop, renew(running_shop, second_buyer, second))
    assert (at_supplier(running_shop, first), at_supplier(running_shop, second)) == ((2, 14), (2, 14))
    # The earlier one ends; whoever had it is not shown the life of the later one.
    running_shop.supplier.connect(first.supplier_esim_id)
    running_shop.supplier.advance(days=15)
    running_shop.ring("sync_usage")
    running_shop.calm()
    running_shop.advance(hours=2)
    running_shop.ring("sync_usage")
    assert running_shop.money.row(Esim, first.id).status is EsimStatus.EXPIRED
