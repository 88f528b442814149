"""Transposes of CSR matrices that a loop reads in both orientations: made when one is asked for again, kept as long as its matrix.

The cells of a matrix never change, so its transpose stays right. It takes 12 bytes a stored cell and 4 a column; all that are kept
together take at most an eighth of the memory of the machine, those that were not used for longest making way.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, Final

from dmlite.memory import total_bytes

if TYPE_CHECKING:
    from scipy.sparse import csr_array

_SHARE: Final = 8  # of the memory, one part may be filled
SCATTERED: Final = 1 << 17  # cells of a result that stay in cache, so that adding to them in any order is fast
_TALL: Final = 4  # times as many rows as columns: reading rows in any order is slower than adding to columns
_WATCHED: Final = 64  # matrices of which it is known that they were asked for once

_kept: Final[dict[int, tuple[weakref.ref[Any], csr_array | None]]] = {}  # by identity, the latest used last


def kept(w: csr_array, width: int) -> csr_array | None:
    """t(w) as CSR for a product t(w) %*% B with `width` columns.

    None where going through w itself is as fast, when this is the first time, and without room.
    """
    if w.shape[1] * width <= SCATTERED or w.shape[0] > _TALL * w.shape[1]:
        return None
    place = id(w)
    watched = _kept.pop(place, None)
    if watched is None or watched[0]() is not w:
        _kept[place] = weakref.ref(w, lambda _: _kept.pop(place, None)), None
        return _within(_WATCHED)
    turned = watched[1]
    if turned is None and _bytes(w) <= total_bytes() // _SHARE:
        turned = w.T.tocsr()
    _kept[place] = watched[0], turned
    _make_room()
    return turned


def _within(count: int) -> None:
    for place in list(_kept)[:-count]:
        _kept.pop(place, None)


def _make_room() -> None:
    """Forget the oldest until the rest fits."""
    entries = list(_kept.items())
    free = total_bytes() // _SHARE
    for place, (_, turned) in reversed(entries):
        free -= 0 if turned is None else _bytes(turned)
        if free < 0:
            _kept.pop(place, None)


def _bytes(w: csr_array) -> int:
    return 12 * w.nnz + 4 * max(w.shape)
