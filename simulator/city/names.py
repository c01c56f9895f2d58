"""Names of the fictional city, Chinese and English side by side. None belongs to a real city."""

from __future__ import annotations

CITY = ("云泽市", "Yunze")
NEIGHBOUR_TOWN = ("岚浦镇", "Lanpu")

WORDS: tuple[tuple[str, str], ...] = (
    ("云麓", "Yunlu"), ("青禾", "Qinghe"), ("望潮", "Wangchao"), ("松涧", "Songjian"), ("白鹭", "Bailu"),
    ("星桥", "Xingqiao"), ("长汀", "Changting"), ("碧岭", "Biling"), ("听泉", "Tingquan"), ("芦湾", "Luwan"),
    ("锦帆", "Jinfan"), ("石榴", "Shiliu"), ("枫林", "Fenglin"), ("玉带", "Yudai"), ("朝晖", "Zhaohui"),
    ("栖霞", "Qixia"), ("银杏", "Yinxing"), ("兰亭", "Lanting"), ("金穗", "Jinsui"), ("柳浪", "Liulang"),
    ("春申", "Chunshen"), ("九曲", "Jiuqu"), ("明堂", "Mingtang"), ("双桂", "Shuanggui"), ("鹤鸣", "Heming"),
    ("临风", "Linfeng"), ("翠屏", "Cuiping"), ("汇源", "Huiyuan"), ("天目", "Tianmu"), ("百草", "Baicao"),
    ("竹溪", "Zhuxi"), ("清淮", "Qinghuai"), ("东篱", "Dongli"), ("南渡", "Nandu"), ("西泠", "Xiling"),
    ("北固", "Beigu"), ("观澜", "Guanlan"), ("揽月", "Lanyue"), ("映雪", "Yingxue"), ("采薇", "Caiwei"),
    ("红枫", "Hongfeng"), ("紫荆", "Zijing"),
)  # fmt: skip

ROAD_KINDS = {
    ("arterial", "v"): ("大道", "Avenue"),
    ("arterial", "h"): ("大街", "Boulevard"),
    ("local", "v"): ("路", "Road"),
    ("local", "h"): ("街", "Street"),
}
RINGS = (("内环路", "Inner Ring Road"), ("外环路", "Outer Ring Road"))
EXPRESSWAY = ("云岚高速", "Yunlan Expressway")
RIVER = ("云水河", "Yunshui River")

# category: (zh suffix, en suffix)
PLACE_KINDS: dict[str, tuple[str, str]] = {
    "home": ("家园", "Residence"),
    "office": ("商务中心", "Business Centre"),
    "factory": ("产业园", "Industrial Park"),
    "mall": ("购物中心", "Mall"),
    "market": ("菜市场", "Market"),
    "petrol": ("加油站", "Petrol Station"),
    "school": ("学校", "School"),
    "hospital": ("医院", "Hospital"),
    "repair": ("汽修厂", "Car Repair"),
    "second_pledge": ("寄售行停车场", "Pawn Yard"),
    "impound": ("扣车场", "Impound Lot"),
    "yard": ("资产保管库", "Lender's Yard"),
    "used_car_market": ("二手车市场", "Used Car Market"),
}

MODELS: tuple[tuple[str, str, int], ...] = (
    ("大众", "朗逸", 118_000), ("日产", "轩逸", 112_000), ("丰田", "卡罗拉", 128_000),
    ("本田", "雅阁", 189_000),
    ("比亚迪", "秦PLUS", 109_000), ("吉利", "帝豪", 86_000), ("长安", "CS75", 121_000),
    ("哈弗", "H6", 115_000),
    ("奥迪", "A4L", 298_000), ("宝马", "3系", 315_000), ("奔驰", "C级", 338_000), ("别克", "GL8", 278_000),
)  # fmt: skip
COLOURS = ("白", "黑", "银", "灰", "红", "蓝")
SURNAMES = "赵钱孙李周吴郑王冯陈褚卫蒋沈韩杨"
