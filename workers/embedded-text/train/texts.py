"""What people write on their pictures: phone numbers, prices, shop names, addresses, words."""

import numpy as np

WORDS = {
    "latin": (
        "Auto Moto Haus Casa Maison Market Shop Store Sale New Used Best Offer Original Garantie "
        "Service Rent Dealer Outlet Deal Premium Express Export Import Studio Garage Fashion "
        "Mobile Phone Home Sofa Bike Verkauf Angebot Neu Günstig Livraison gratuite Vendo Occasion "
        "Promo Oferta Nuevo Envío Sprzedam Nowość Okazja Prodám Sleva Satılık İndirim Fırsat "
        "Only today Call Contact Delivery Cash Trusted Seller Official Copyright Watermark Preview"
    ).split(),
    "cyrillic": (
        "Продам Скидка Новый Магазин Доставка Гарантия Авто Квартира Цена Звоните Купить Телефон "
        "Акция Распродажа Недорого Срочно Оригинал Аренда Ремонт Продається Знижка"
    ).split(),
    "greek": "Πωλείται Προσφορά Κατάστημα Νέο Τηλέφωνο Εγγύηση Τιμή Ευκαιρία".split(),
    "arabic": "للبيع عرض خاص هاتف سيارة جديد متجر السعر توصيل ضمان للإيجار".split(),
    "hebrew": "למכירה מבצע חדש טלפון מחיר חנות משלוח הנחה".split(),
    "devanagari": "बिक्री नया मोबाइल दुकान कीमत ऑफर छूट संपर्क घर कार".split(),
    "thai": "ขาย ลดราคา ใหม่ โทร ร้าน ส่งฟรี ราคา มือสอง".split(),
    "han": "出售 电话 价格 全新 二手 商店 优惠 包邮 联系 正品 特价 官方 出租".split(),
    "kana": "セール しんぴん おとく ショップ ください バーゲン クルマ ブランド".split(),
    "hangul": "판매 할인 새상품 전화 가격 매장 배송 정품 중고 특가".split(),
}
# How often each script is asked for; what the fonts do not have falls back to Latin.
SCRIPT_SHARES = {
    "latin": 0.58,
    "cyrillic": 0.12,
    "arabic": 0.05,
    "han": 0.05,
    "hangul": 0.04,
    "kana": 0.04,
    "devanagari": 0.04,
    "greek": 0.03,
    "thai": 0.03,
    "hebrew": 0.02,
}
CURRENCIES = ("$", "EUR", "USD", "Kč", "zł", "kr", "CHF", "Rs", "TL", "R$", "грн", "руб")
SITES = (
    "shop",
    "auto",
    "bazar",
    "market",
    "foto",
    "deals",
    "home",
    "moto",
    "my-store",
    "classified",
)
ENDINGS = (".com", ".de", ".net", ".ru", ".in", ".co.uk", ".pl", ".com.br", ".fr", ".org")
LETTERS = np.array(list("ABCDEFGHIJKLMNOPRSTUVWXYZabcdefghijklmnoprstuvwxyz"))


def pick_script(available: list[str], rng: np.random.Generator) -> str:
    """One of the scripts, as often as `SCRIPT_SHARES` says."""
    script = str(rng.choice(list(SCRIPT_SHARES), p=list(SCRIPT_SHARES.values())))
    return script if script in available else "latin"


def compose_lines(script: str, rng: np.random.Generator, has_digits: bool = True) -> list[str]:
    """One to four lines as they stand on advertisements; numbers and addresses are Latin."""
    if script != "latin":
        lines = [_words(script, rng)]
        if has_digits and rng.random() < 0.25:
            lines.append(_phone(rng) if rng.random() < 0.6 else _price(rng, ("",)))
        return lines
    makers = (_phone, _price, _shop, _address, _words_latin, _letters)
    count = int(rng.choice([1, 2, 3, 4], p=[0.68, 0.2, 0.08, 0.04]))
    lines = [
        makers[rng.choice(len(makers), p=[0.25, 0.2, 0.17, 0.13, 0.17, 0.08])](rng)
        for _ in range(count)
    ]
    if rng.random() < 0.25:
        lines = [line.upper() for line in lines]
    return lines


def _digits(count: int, rng: np.random.Generator) -> str:
    return "".join(str(digit) for digit in rng.integers(0, 10, count))


def _phone(rng: np.random.Generator) -> str:
    separator = str(rng.choice([" ", "-", ".", ""]))
    groups = separator.join(
        _digits(int(count), rng) for count in rng.integers(2, 5, rng.integers(2, 5))
    )
    prefix = str(
        rng.choice(
            ["", "+", "0", "Tel. ", "Tel: ", "Call ", "WhatsApp "],
            p=[0.25, 0.3, 0.15, 0.1, 0.08, 0.06, 0.06],
        )
    )
    return prefix + groups


def _price(rng: np.random.Generator, currencies: tuple[str, ...] = CURRENCIES[:10]) -> str:
    amount = _digits(int(rng.integers(1, 4)), rng)
    tail = str(rng.choice(["", " 000", ".000", ",99", ".-", ".50"]))
    currency = str(rng.choice(currencies))
    line = f"{currency}{amount}{tail}" if rng.random() < 0.4 else f"{amount}{tail} {currency}"
    return (f"-{rng.integers(5, 80)}%" if rng.random() < 0.15 else line).strip()


def _shop(rng: np.random.Generator) -> str:
    name = " ".join(str(word) for word in rng.choice(WORDS["latin"], rng.integers(1, 3)))
    return ("(c) " if rng.random() < 0.2 else "") + name


def _address(rng: np.random.Generator) -> str:
    site = (
        str(rng.choice(SITES))
        + ("" if rng.random() < 0.5 else _digits(2, rng))
        + str(rng.choice(ENDINGS))
    )
    lead = str(rng.choice(["", "www.", "info@", "https://", "@"], p=[0.3, 0.35, 0.15, 0.05, 0.15]))
    return lead + site


def _words(script: str, rng: np.random.Generator) -> str:
    return " ".join(str(word) for word in rng.choice(WORDS[script], rng.integers(1, 4)))


def _words_latin(rng: np.random.Generator) -> str:
    return _words("latin", rng)


def _letters(rng: np.random.Generator) -> str:
    return "".join(rng.choice(LETTERS, rng.integers(3, 10)))
