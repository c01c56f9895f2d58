// Amounts are whole minor units. Nothing here divides: digits are cut and joined as text.
const PLACES = {JPY: 0, KRW: 0, VND: 0, CLP: 0, BHD: 3, KWD: 3, OMR: 3, JOD: 3, TND: 3};
const SYMBOLS = {CNY: '¥', JPY: 'JP¥', USD: '$', EUR: '€', GBP: '£', INR: '₹', KRW: '₩'};
const WAN_DIGITS = 4;
const LONGEST = 15;

export function places(currency) {
  return PLACES[currency] ?? 2;
}

export function format(money, locale = document.documentElement.lang) {
  const cut = places(money.currency);
  const digits = String(Math.abs(money.amount_minor)).padStart(cut + 1, '0');
  const whole = digits.slice(0, digits.length - cut).replace(/\B(?=(\d{3})+$)/g, ',');
  const part = digits.slice(digits.length - cut);
  const symbol = locale === 'en' && money.currency === 'CNY' ? 'CN¥' : SYMBOLS[money.currency] ?? `${money.currency} `;
  const tail = part && !/^0+$/.test(part) ? `.${part}` : '';
  return `${money.amount_minor < 0 ? '-' : ''}${symbol}${whole}${tail}`;
}

// "128,000", "12.8万", "¥128000.50"; null when it is no amount of this currency.
export function parse(text, currency) {
  const plain = text.normalize('NFKC').replace(/[\s,¥元$€£]/g, '').replace(currency, '');
  const match = /^(\d+)(?:\.(\d+))?(万)?$/.exec(plain);
  if (!match) return null;
  const shift = places(currency) + (match[3] ? WAN_DIGITS : 0);
  const fraction = (match[2] ?? '').replace(/0+$/, '');
  if (fraction.length > shift) return null;
  const digits = (match[1] + fraction.padEnd(shift, '0')).replace(/^0+(?=\d)/, '');
  return digits.length > LONGEST || digits === '0' ? null : Number(digits);
}

export function plain(money) {
  const cut = places(money.currency);
  const digits = String(money.amount_minor).padStart(cut + 1, '0');
  const part = digits.slice(digits.length - cut);
  return digits.slice(0, digits.length - cut) + (part && !/^0+$/.test(part) ? `.${part}` : '');
}
