"""The Gaussian of a set of feature rows: gathered block by block, merged, and with a root of its covariance."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Float64
from scipy import linalg
from threadpoolctl import threadpool_limits

BLOCK = 2048  # rows taken to float64 at once
EPSILON = float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class Statistics:
    """The Gaussian of `count` feature rows: mean, and covariance with count - 1 in the denominator.

    `few` is kept when there are no more rows than features: a root of the covariance taken from the rows themselves.
    """

    mean: Float64[np.ndarray, "d"]
    covariance: Float64[np.ndarray, "d d"]
    count: int
    few: Float64[np.ndarray, "d m"] | None = None

    @cached_property
    def root(self) -> Float64[np.ndarray, "d r"]:
        """A matrix R with R Rᵀ = covariance, computed once.

        Cholesky's factor where all eigenvalues are above rounding (d ε of the largest). Where some are not, as with
        features that depend on each other, Cholesky would take roots of noise, 1e-8 each, or find no factor at all;
        then R is made of the eigenvectors whose eigenvalues are above it.
        """
        if self.few is not None:
            return self.few
        rounding = len(self.mean) * EPSILON
        potrf, pocon = linalg.get_lapack_funcs(("potrf", "pocon"), (self.covariance,))
        with threadpool_limits(1, user_api="blas"):  # many short steps: several threads mostly wait for each other
            factor, failed_at = potrf(self.covariance, lower=1)
            if failed_at == 0:
                reciprocal_condition, _ = pocon(factor, np.abs(self.covariance).sum(axis=0).max(), uplo="L")
                if reciprocal_condition > rounding:
                    return factor
        values, vectors = linalg.eigh(self.covariance, driver="evd")
        kept = values > max(values[-1], 0.0) * rounding
        return vectors[:, kept] * np.sqrt(values[kept])


@dataclass
class Moments:
    """Running count, mean and scatter (sum of outer products of centred rows) of feature rows, in float64.

    Blocks may come in any split and order, and the moments of several processes can be merged: the result is that of
    all rows at once, to rounding, also far from the origin. Source: Chan, Golub and LeVeque 1979, "Updating Formulae
    and a Pairwise Algorithm for Computing Sample Variances".
    """

    count: int
    mean: Float64[np.ndarray, "d"]
    scatter: Float64[np.ndarray, "d d"]

    @classmethod
    def empty(cls, size: int) -> "Moments":
        """Return the moments of no rows of `size` features."""
        return cls(0, np.zeros(size), np.zeros((size, size)))

    def add(self, rows: Float[np.ndarray, "n d"]) -> None:
        """Take in a block of rows; float32 rows are summed in float64. Raises ValueError for one that is not finite."""
        check_finite(rows, first=self.count)
        if len(rows):
            centred = rows.astype(np.float64)
            mean = centred.mean(axis=0)
            centred -= mean
            self.merge(Moments(len(rows), mean, centred.T @ centred))

    def merge(self, other: "Moments") -> None:
        """Take in all rows of `other`, which stays as it is. Raises ValueError if the feature sizes differ."""
        if self.mean.shape != other.mean.shape:
            raise ValueError(
                f"moments of {len(other.mean)} features merged into moments of {len(self.mean)}: expected both from "
                "the same network"
            )
        count = self.count + other.count
        if count:
            shift = other.mean - self.mean
            self.mean = self.mean + shift * (other.count / count)
            self.scatter += other.scatter
            self.scatter += np.outer(shift * (self.count * other.count / count), shift)
            self.count = count

    def statistics(self) -> Statistics:
        """Return mean and covariance of the rows so far. Raises ValueError for fewer than two."""
        check_count(self.count)
        return Statistics(self.mean, self.scatter / (self.count - 1), self.count)


def gaussian_statistics(features: Float[np.ndarray, "n d"]) -> Statistics:
    """Return mean and covariance of feature rows, in float64.

    With n <= d the covariance is rank-deficient: distances are still right for it but, as estimates, biased upwards.
    Raises ValueError for fewer than two rows or a row that is not finite.
    """
    moments = Moments.empty(features.shape[1])
    for start in range(0, len(features), BLOCK):
        moments.add(features[start : start + BLOCK])
    statistics = moments.statistics()
    if len(features) > features.shape[1]:
        return statistics
    centred = (features - statistics.mean).T / np.sqrt(len(features) - 1)
    # the columns sum to 0: reflecting (1, ..., 1)/√n onto the first axis empties the first, and one is never needed
    few = centred[:, 1:] - centred[:, :1] / (1 + np.sqrt(len(features)))
    return Statistics(statistics.mean, statistics.covariance, len(features), few)


def check_count(count: int) -> None:
    """Raise ValueError for fewer than two feature rows."""
    if count < 2:
        raise ValueError(f"{count} feature rows: expected at least 2 to estimate how they spread")


def check_finite(rows: Float[np.ndarray, "n d"], *, first: int = 0) -> None:
    """Raise ValueError for a feature row that is not finite, with its number when the block starts at `first`."""
    wrong = np.flatnonzero(~np.isfinite(rows).all(axis=1))
    if len(wrong):
        raise ValueError(
            f"feature row {first + wrong[0]} is not finite ({len(wrong)} of {len(rows)} rows): check the pictures it "
            "is from"
        )
