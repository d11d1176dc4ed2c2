"""Chinese texts: names, addresses, organisations and numbers of the mainland, made up of the words of Faker's zh_CN.

Faker gives the words (surnames, characters of given names, provinces, cities, districts, words of company names). Its own
formats are not used: its addresses have no house number, building or room, its names neither two-character surnames (but 欧阳)
nor those of minorities, its plates no new-energy form.
"""

import importlib
import random
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from charter.data.identifiers import cn_id_check, luhn_digit
from charter.data.synthetic.templates import Part, Slot, of_part, parted

DOUBLE_SURNAMES = (
    "欧阳", "司马", "上官", "诸葛", "东方", "皇甫", "尉迟", "公孙", "慕容", "令狐", "宇文", "长孙", "司徒", "夏侯", "端木", "南宫",
)  # fmt: skip
# Syllables that names of Uyghurs, Kazakhs, Tibetans and Mongols are written with.
_SYLLABLES = (
    "阿", "布", "都", "拉", "买", "买提", "古丽", "热", "依木", "帕", "提", "哈", "丽", "努尔", "艾", "力", "吐", "尔", "逊", "扎西",
    "多吉", "卓玛", "次仁", "格桑", "巴特", "乌兰", "其其格", "娜仁", "斯琴", "木", "合", "萨", "克", "江", "迪", "沙",
)  # fmt: skip
_STREET_WORDS = (
    "中山", "人民", "解放", "建设", "和平", "新华", "文化", "长江", "黄河", "滨江", "环城", "朝阳", "光明", "幸福", "民主", "青年",
    "胜利", "东风", "育才", "科技", "创业", "学府", "翠湖", "梅园", "桂花", "红旗", "振兴", "迎宾", "友谊", "南京", "北京", "淮海",
    "天目山", "文三", "体育西", "五一", "八一", "高新", "金水", "玉泉",
)  # fmt: skip
_ESTATES = (
    "阳光花园", "翠竹苑", "锦绣家园", "碧水湾", "怡景苑", "万科城", "金色港湾", "世纪花园", "香樟苑", "书香门第", "東湖名邸", "绿城百合",
    "丽景湾", "幸福里", "御景园", "清华园", "龙湖天街", "紫荆公馆", "春江花月", "海棠公社",
)  # fmt: skip
_BODIES = (
    "第一人民医院", "第二中学", "实验小学", "中医院", "妇幼保健院", "公安局", "人民法院", "税务局", "大学", "师范学院", "图书馆", "博物馆",
    "教育局", "市场监督管理局", "派出所", "职业技术学院", "农商银行", "自来水公司", "第三幼儿园", "社区卫生服务中心", "律师协会",
    "红十字会",
)  # fmt: skip
_FIRMS = (
    "科技有限公司", "网络有限公司", "信息技术股份有限公司", "传媒有限公司", "贸易有限公司", "集团", "置业有限公司", "律师事务所",
    "会计师事务所",
    "物流有限公司", "餐饮管理有限公司", "生物医药有限公司", "有限责任公司", "控股集团有限公司", "电子厂", "装饰工程公司",
)  # fmt: skip
# Things that are written like names, places or firms and are none.
THINGS = (
    "王者荣耀", "高山流水", "小米手机", "和平精英", "白云", "黄金", "马上", "高兴", "金华火腿", "北京烤鸭", "兰州拉面", "重庆火锅", "苹果",
    "老干妈", "康师傅", "王老吉", "李宁运动鞋", "张裕葡萄酒", "红烧肉", "高铁", "白菜", "江湖", "方便面", "洪水", "安全", "常规", "程序",
    "周末", "钱包", "孙悟空的故事", "水浒传", "红楼梦", "三国演义", "何时", "毛衣", "石油", "安静", "顾客", "向日葵", "唐诗三百首", "宋词",
    "元旦", "明天", "清单", "时间", "华为平板", "海尔冰箱", "美的空调", "农夫山泉", "大白兔奶糖", "梅花", "兰花", "杨树", "柳絮", "白酒",
    "黄瓜", "高速公路", "路由器", "万能钥匙", "关于合同", "许多问题", "任何方式", "连接线", "单车", "雷阵雨", "温度计", "成都小吃",
    "青岛啤酒",
    "朱砂", "田径", "胡椒", "林业", "谢谢", "包裹", "余额", "万一", "章程", "施工", "水果", "金额", "解决方案", "平台", "商家", "卫生间",
)  # fmt: skip
_PROVINCES = "京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼"
_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ"


@cache
def _words(kind: str) -> Any:
    return importlib.import_module(f"faker.providers.{kind}.zh_CN").Provider


@cache
def _signs() -> tuple[str, ...]:
    """The characters that given names are made of."""
    return tuple(sorted({sign for name in _words("person").first_names for sign in name}))


def _given(draw: random.Random, part: Part) -> str:
    names: Sequence[str] = list(_words("person").first_names)
    signs = _signs()

    def make() -> str:
        how = draw.random()
        if how < 0.3:
            return draw.choice(signs)
        return str(draw.choice(names)) if how < 0.5 else draw.choice(signs) + draw.choice(signs)

    return of_part(part, make)


def _surname(draw: random.Random, part: Part) -> str:
    del part  # a closed class: everybody's model knows them
    if draw.random() < 0.07:
        return draw.choice(DOUBLE_SURNAMES)
    known: list[str] = list(_words("person").last_names)
    return draw.choice(known[:100] if draw.random() < 0.6 else known)


def _name(draw: random.Random, part: Part) -> str:
    if draw.random() < 0.06:

        def half() -> str:
            return "".join(draw.choice(_SYLLABLES) for _ in range(draw.randint(2, 3)))

        return of_part(part, lambda: f"{half()}·{half()}")
    return _surname(draw, part) + _given(draw, part)


def _street(draw: random.Random, part: Part) -> str:
    def make() -> str:
        how = draw.random()
        if how < 0.5:
            stem = draw.choice(_STREET_WORDS)
        elif how < 0.8:
            stem = draw.choice(_words("address").cities)
        else:
            stem = draw.choice(list(_words("person").last_names)) + draw.choice("家庄桥塘园湾山泉湖")
        return stem + draw.choice(("", "", "", "东", "西", "南", "北", "中")) + draw.choice(
            ("路", "路", "路", "街", "大道", "大街", "巷", "胡同")
        )  # fmt: skip

    return of_part(part, make)


def _city(draw: random.Random, part: Part) -> str:
    cities = [one for one in _words("address").cities if len(one) >= 2]
    return draw.choice(parted(cities, part))


def _district(draw: random.Random, part: Part) -> str:
    return draw.choice(parted(list(_words("address").districts), part)) + draw.choice("区区区县")


def _province(draw: random.Random) -> str:
    name = str(draw.choice(list(_words("address").provinces)))
    return name if draw.random() < 0.7 else name.removesuffix("省").removesuffix("市")


def _place(draw: random.Random, part: Part) -> str:
    how = draw.random()
    if how < 0.25:
        return _province(draw)
    if how < 0.45:
        return _province(draw) + _city(draw, part) + "市"
    if how < 0.65:
        return _city(draw, part) + draw.choice(("市", "市", "县"))
    return _city(draw, part) if how < 0.85 else _district(draw, part)


def _number(draw: random.Random, most: int) -> str:
    return str(draw.randint(1, most))


def _house(draw: random.Random) -> str:
    tails: tuple[Callable[[], str], ...] = (
        lambda: f"{_number(draw, 60)}栋{_number(draw, 6)}单元{_number(draw, 33)}0{_number(draw, 8)}室",
        lambda: f"{_number(draw, 30)}号楼{_number(draw, 2999)}",
        lambda: f"{draw.choice('ABCD')}座{_number(draw, 40)}层",
        lambda: f"{_number(draw, 30)}幢{_number(draw, 2400)}室",
        lambda: f"{draw.choice('一二三四五六七八九十')}单元{_number(draw, 1900)}",
        lambda: "",
    )  # fmt: skip
    return draw.choice(tails)()


def _address(draw: random.Random, part: Part) -> str:
    heads: tuple[Callable[[], str], ...] = (
        lambda: _province(draw) + _city(draw, part) + "市" + _district(draw, part),
        lambda: _city(draw, part) + "市" + _district(draw, part),
        lambda: _district(draw, part),
        lambda: _province(draw) + _city(draw, part) + "市",
        lambda: "",
    )  # fmt: skip
    head = draw.choice(heads)()
    estate = draw.choice(parted(_ESTATES, part) or _ESTATES)
    how = draw.random()
    if how < 0.62:
        body = f"{_street(draw, part)}{_number(draw, 999)}号" + draw.choice(("", estate))
    elif how < 0.85:
        body = estate
    else:
        surname = draw.choice(list(_words("person").last_names))
        body = f"{surname}{draw.choice('家庄塘桥湾')}{draw.choice(('镇', '乡'))}{surname}{draw.choice('东西南北')}村{_number(draw, 12)}组"
    tail = _house(draw)
    return head + body + (tail or (f"{_number(draw, 30)}栋" if body == estate else ""))


def _organisation(draw: random.Random, part: Part) -> str:
    def make() -> str:
        how = draw.random()
        stem = _city(draw, part) if draw.random() < 0.5 else ""
        if how < 0.55:
            prefix = (
                draw.choice(_words("company").company_prefixes)
                if draw.random() < 0.5
                else draw.choice(_signs()) + draw.choice(_signs())
            )
            return stem + prefix + draw.choice(_FIRMS)
        return (stem or _city(draw, part)) + draw.choice(("市", "", "省")[:2]) + draw.choice(_BODIES)

    return of_part(part, make)


def _mobile(draw: random.Random, part: Part) -> str:
    del part
    digits = f"1{draw.choice('3456789')}{draw.randrange(10**9):09d}"
    spaced = f"{digits[:3]} {digits[3:7]} {digits[7:]}"
    dashed = f"{digits[:3]}-{digits[3:7]}-{digits[7:]}"
    return draw.choice((digits, digits, digits, spaced, dashed, f"+86 {digits}"))


def _id_number(draw: random.Random, part: Part) -> str:
    del part
    area = draw.choice(("110105", "310104", "440304", "330106", "510107", "420106", "320102", "610113"))
    body = f"{area}{draw.randint(1950, 2012)}{draw.randint(1, 12):02d}{draw.randint(1, 28):02d}{draw.randrange(1, 999):03d}"
    return body + cn_id_check(body)


def _card(draw: random.Random, part: Part) -> str:
    del part
    head = draw.choice(("622202", "621700", "622848", "623058", "625958"))
    body = head + "".join(draw.choice("0123456789") for _ in range(draw.choice((15, 18)) - len(head)))
    digits = body + luhn_digit(body)
    return " ".join(digits[at : at + 4] for at in range(0, len(digits), 4)) if draw.random() < 0.4 else digits


def plate(draw: random.Random) -> str:
    """A plate of GA 36-2018: five signs with two letters at most, or six of a new-energy car."""
    head = draw.choice(_PROVINCES) + draw.choice(_LETTERS) + draw.choice(("", "", "·", " "))
    how = draw.random()
    if how < 0.3:
        small = draw.choice("ADF") + draw.choice("0123456789" + _LETTERS) + f"{draw.randrange(10**4):04d}"
        return head + (small if draw.random() < 0.8 else f"{draw.randrange(10**5):05d}{draw.choice('DF')}")
    signs = [draw.choice("0123456789") for _ in range(5)]
    for place in draw.sample(range(5), draw.choice((0, 0, 1, 2))):
        signs[place] = draw.choice(_LETTERS)
    return head + "".join(signs)


def _landline(draw: random.Random, part: Part) -> str:
    del part
    return f"{draw.choice(('010', '021', '020', '0571', '0755', '028'))}-{draw.randint(2, 8)}{draw.randrange(10**7):07d}"


def _plain(make: Callable[[random.Random], str]) -> Callable[[random.Random, Part], str]:
    return lambda draw, part: make(draw)  # noqa: ARG005


@cache
def _faker() -> Any:
    from faker import Faker

    return Faker("zh_CN")


def _noise(draw: random.Random) -> str:
    """A sentence of common words in no order, so that a model learns how most characters are used: for nobody's name."""
    fake = _faker()
    fake.seed_instance(draw.randrange(2**32))
    return str(fake.sentence(nb_words=draw.randint(4, 12))).rstrip(".") + draw.choice("。。，！")


def _date(draw: random.Random) -> str:
    year, month, day = draw.randint(1950, 2030), draw.randint(1, 12), draw.randint(1, 28)
    return draw.choice(
        (f"{year}年{month}月{day}日", f"{year}-{month:02d}-{day:02d}", f"{year}年", f"{month}月{day}日")
    )


def slots() -> dict[str, Slot]:
    """What fills the slots of Chinese templates."""
    called = ("先生", "女士", "老师", "经理", "医生", "主任", "师傅")
    return {
        "name": Slot("PERSON", _name),
        "surname": Slot("PERSON", _surname),
        "called": Slot(None, _plain(lambda draw: draw.choice(called))),
        "address": Slot("ADDRESS", _address),
        "place": Slot("LOCATION", _place),
        "org": Slot("ORGANIZATION", _organisation),
        "mobile": Slot("CN_MOBILE", _mobile),
        "landline": Slot("PHONE", _landline),
        "id": Slot("CN_ID", _id_number),
        "card": Slot("CARD", _card),
        "plate": Slot("CN_PLATE", _plain(plate)),
        "thing": Slot(None, lambda draw, part: draw.choice(parted(THINGS, part))),
        "noise": Slot(None, _plain(_noise)),
        "date": Slot(None, _plain(_date)),
        "age": Slot(None, _plain(lambda draw: str(draw.randint(1, 99)))),
        "n": Slot(None, _plain(lambda draw: str(draw.randint(1, 9999)))),
        "day": Slot(None, _plain(lambda draw: f"{draw.randint(1, 12)}月{draw.randint(1, 28)}日")),
    }
