import numpy as np
import pytest

from muniment.db import Database
from muniment.db.vectors import (
    decode_halfvec,
    decode_vector,
    encode_halfvec,
    encode_vector,
    register_vector_codecs,
    vector_text,
)


@pytest.fixture
def vector() -> np.ndarray:
    drawn = np.random.default_rng(1).normal(size=384).astype(np.float32)
    return drawn / np.linalg.norm(drawn)


def test_binary_form_survives_the_round_trip(vector: np.ndarray) -> None:
    assert np.array_equal(decode_vector(encode_vector(vector)), vector)
    assert np.array_equal(decode_halfvec(encode_halfvec(vector)), vector.astype(np.float16))
    assert len(encode_halfvec(vector)) == 4 + 2 * 384


def test_text_and_lists_are_taken_as_well() -> None:
    assert encode_halfvec("[1, 0.5,-2]") == encode_halfvec([1, 0.5, -2])
    assert vector_text([1, 0.5, -2]) == "[1.0,0.5,-2.0]"


@pytest.mark.parametrize("wrong", [np.zeros((2, 2)), np.zeros(0), []])
def test_what_is_not_a_vector_is_refused(wrong: object) -> None:
    with pytest.raises(ValueError, match="one dimension"):
        encode_halfvec(wrong)


async def test_parameters_results_arrays_and_copy(database: Database, vector: np.ndarray) -> None:
    async with database.pool.acquire() as connection:
        await register_vector_codecs(connection)
        half = await connection.fetchval("SELECT $1::halfvec", vector)
        assert np.array_equal(half, vector.astype(np.float16))
        # What the server understood, by its own arithmetic and its own text.
        assert await connection.fetchval("SELECT l2_norm($1::halfvec)", vector) == pytest.approx(
            1, abs=1e-3
        )
        full = await connection.fetchval("SELECT $1::text::vector", vector_text(vector))
        assert np.array_equal(full, vector)
        encoded = [encode_halfvec(vector), encode_halfvec(-vector)]
        many = await connection.fetch("SELECT unnest($1::halfvec[]) AS v", encoded)
        assert np.array_equal(many[1]["v"], -vector.astype(np.float16))
        assert await connection.fetchval("SELECT NULL::halfvec") is None

        await connection.execute("CREATE TEMPORARY TABLE copied (n int, v halfvec(384))")
        records = [(n, vector * n) for n in range(1, 101)]
        await connection.copy_records_to_table("copied", records=records)
        tripled = await connection.fetchval("SELECT v FROM copied WHERE n = 3")
        assert np.allclose(tripled, vector * 3, rtol=1e-3)


async def test_components_beyond_float16_are_refused_by_the_server(database: Database) -> None:
    async with database.pool.acquire() as connection:
        await register_vector_codecs(connection)
        with (
            np.errstate(over="ignore"),
            pytest.raises(Exception, match="infinite value"),
        ):
            await connection.fetchval("SELECT $1::halfvec", [1e6, 0.0])
