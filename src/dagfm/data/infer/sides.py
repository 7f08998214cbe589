"""Which side a field's name suggests: of the request (user, device, moment), or of the item to rank."""

from __future__ import annotations

from dagfm.data.infer.names import vocabulary, words
from dagfm.schema import Side

CONTEXT = vocabulary(
    """
    user uid customer visitor member viewer reader gender sex age occupation job income zip zipcode country region city
    location geo device os browser platform network connection isp ip session language locale query hour weekday day
    month daytime weekend weather page site publisher referrer referer slot
    """
)
CANDIDATE = vocabulary(
    """
    item ad ads adgroup adid campaign creative advertiser brand category cate product sku movie film title genre genres
    release class song track artist album article news author video doc document banner price offer shop seller
    """
)


def suggested_side(name: str) -> tuple[Side, str] | None:
    """The side and the first word of ``name`` that suggests it, or None; a suggestion only, never applied silently."""
    for word in words(name):
        if word in CONTEXT:
            return "context", word
        if word in CANDIDATE:
            return "candidate", word
    return None
