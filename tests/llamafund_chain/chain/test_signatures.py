"""Signatures in every form that wallets give them end in the one form that contracts take."""

from __future__ import annotations

import pytest
from eth_utils import keccak
from hypothesis import given
from hypothesis import strategies as st
from signature_forms import DIGEST, FORMS, account, sign

from llamafund_chain.chain.signatures import readings, recover_digest, usual_form


@pytest.mark.parametrize("number", range(1, 9))
@pytest.mark.parametrize("form", FORMS.values(), ids=list(FORMS))
def test_every_form_of_a_signature_becomes_the_usual_one(form, number: int) -> None:
    usual = sign(number, DIGEST)
    assert usual_form(DIGEST, form(usual), account(number).address) == usual
    assert recover_digest(DIGEST, usual) == account(number).address


@pytest.mark.parametrize("form", FORMS.values(), ids=list(FORMS))
def test_no_form_makes_a_signature_somebody_elses_or_of_something_else(form) -> None:
    signature = form(sign(1, DIGEST))
    assert usual_form(DIGEST, signature, account(2).address) is None
    assert usual_form(keccak(b"another"), signature, account(1).address) is None


def test_what_says_clearly_who_signed_is_read_so_first() -> None:
    for form in ("as it is", "v of 0 or 1", "64 bytes", "high s", "high s and v of 0 or 1", "v with chain 1"):
        assert next(readings(DIGEST, FORMS[form](sign(3, DIGEST))))[0] == account(3).address


@given(st.binary(max_size=140))
def test_random_bytes_are_nobodys_signature_and_no_traceback(signature: bytes) -> None:
    for signer, usual in readings(DIGEST, signature):
        assert recover_digest(DIGEST, usual) == signer
    assert usual_form(DIGEST, signature, account(1).address) is None
