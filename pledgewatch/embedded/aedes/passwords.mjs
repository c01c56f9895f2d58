// Mosquitto's password file: `user:$7$ITERATIONS$SALT$HASH`, PBKDF2 with HMAC-SHA-512 (core/mqtt_passwords.py).
import { pbkdf2, timingSafeEqual } from 'node:crypto'
import { promisify } from 'node:util'

const derive = promisify(pbkdf2)

// Return a map from user name to the stored hash.
export function readPasswords (text) {
  const accounts = new Map()
  for (const line of text.split('\n')) {
    const colon = line.indexOf(':')
    if (line.startsWith('#') || colon < 1) continue
    accounts.set(line.slice(0, colon), line.slice(colon + 1).trim())
  }
  return accounts
}

export async function passwordMatches (password, stored) {
  const [, kind, iterations, salt, hash] = stored.split('$')
  if (kind !== '7' || !salt || !hash) return false
  const expected = Buffer.from(hash, 'base64')
  const actual = await derive(password, Buffer.from(salt, 'base64'), Number(iterations), expected.length, 'sha512')
  return timingSafeEqual(actual, expected)
}
