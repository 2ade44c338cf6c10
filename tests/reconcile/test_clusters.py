"""Clusters: what belongs together, and ids that outlive changes."""

from __future__ import annotations

import random
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muniment.reconcile.clusters import carry_over, components, successors

R = [UUID(int=n) for n in range(1, 30)]
A, B, C, D = (UUID(int=n) for n in range(1001, 1005))


def fresh(first: int = 5000) -> object:
    numbers = iter(range(first, first + 1000))
    return lambda: UUID(int=next(numbers))


def test_what_pairs_join_is_one_group() -> None:
    found = components(R[:6], [(R[0], R[3]), (R[3], R[1]), (R[4], R[28])])
    assert found == [[R[0], R[1], R[3]], [R[2]], [R[4]], [R[5]]]
    assert components([], []) == []


def test_the_least_sure_pair_of_a_chain_is_left_out() -> None:
    chain = [(R[0], R[1]), (R[2], R[3]), (R[1], R[2])]
    assert components(R[:4], chain, [(R[0], R[3])]) == [[R[0], R[1]], [R[2], R[3]]]
    # Other groups are as if nobody had rejected anything.
    assert components(R[:6], [*chain, (R[4], R[5])], [(R[0], R[3])])[-1] == [R[4], R[5]]


def test_a_split_leaves_the_id_to_the_larger_part() -> None:
    former = dict.fromkeys(R[:5], A)
    now = carry_over([R[:2], R[2:5]], former)
    assert {now[record] for record in R[2:5]} == {A}
    assert now[R[0]] == now[R[1]] != A


def test_merged_clusters_have_the_id_of_the_larger_one() -> None:
    former = {R[0]: B, R[1]: A, R[2]: A, R[3]: C}
    assert set(carry_over([R[:4]], former).values()) == {A}


def test_of_equal_clusters_the_smaller_id_stays() -> None:
    assert set(carry_over([R[:2]], {R[0]: B, R[1]: A}).values()) == {A}


def test_no_id_is_given_twice() -> None:
    # One half of A merges with B, the other half with C: A goes to one, B or C to the other.
    former = {R[0]: A, R[1]: A, R[2]: A, R[3]: A, R[4]: B, R[5]: C}
    now = carry_over([[R[0], R[1], R[4]], [R[2], R[3], R[5]]], former)
    assert now[R[0]] == A
    assert now[R[2]] == C


def test_new_records_take_the_id_of_those_they_join() -> None:
    now = carry_over([[R[0], R[1]], [R[2]]], {R[0]: A})
    assert now[R[1]] == A
    assert now[R[2]] != A


def test_an_id_that_is_gone_is_followed() -> None:
    former = {R[0]: A, R[1]: A, R[2]: B, R[3]: C}
    now = carry_over([R[:3], [R[3]]], former)
    assert successors(former, now) == {B: A}


@st.composite
def changes(draw: st.DrawFn) -> tuple[list[list[UUID]], dict[UUID, UUID]]:
    size = draw(st.integers(1, 12))
    before = draw(st.lists(st.integers(0, 4), min_size=size, max_size=size))
    after = draw(st.lists(st.integers(0, 4), min_size=size, max_size=size))
    groups = [[R[n] for n in range(size) if after[n] == g] for g in range(5)]
    former = {R[n]: UUID(int=1000 + before[n]) for n in range(size)}
    return [group for group in groups if group], former


@given(changes())
@settings(max_examples=200, deadline=None)
def test_ids_are_unique_and_do_not_depend_on_the_order(
    change: tuple[list[list[UUID]], dict[UUID, UUID]],
) -> None:
    groups, former = change
    now = carry_over(groups, former, fresh())  # type: ignore[arg-type]
    assert set(now) == set(former)
    assert len({now[group[0]] for group in groups}) == len(groups)
    assert all(len({now[record] for record in group}) == 1 for group in groups)
    turned = [random.Random(1).sample(group, len(group)) for group in reversed(groups)]
    again = carry_over(turned, former, fresh())  # type: ignore[arg-type]
    inherited = {record: one for record, one in now.items() if one in former.values()}
    assert {r: one for r, one in again.items() if one in former.values()} == inherited
    # What has not changed keeps its ids, whatever they are.
    assert carry_over(groups, now) == now


@pytest.mark.parametrize("seed", range(5))
def test_no_group_holds_what_was_rejected(seed: int) -> None:
    chance = random.Random(seed)
    holding = [tuple(chance.sample(R, 2)) for _ in range(25)]
    apart = [tuple(chance.sample(R, 2)) for _ in range(8)]
    groups = components(R, holding, apart)  # type: ignore[arg-type]
    place = {record: at for at, group in enumerate(groups) for record in group}
    assert all(place[one] != place[other] for one, other in apart)
    assert sorted(record for group in groups for record in group) == R
