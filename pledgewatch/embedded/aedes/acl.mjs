// Mosquitto's ACL file: `user NAME` sections of `topic ACCESS FILTER`, and `pattern ACCESS FILTER` with %u
// for everybody. What is not allowed is forbidden.

const ACCESSES = { read: ['read'], write: ['write'], readwrite: ['read', 'write'] }

// Return { users: Map(name -> rules), patterns: rules }; a rule is { access: [...], filter }.
export function readAcl (text) {
  const acl = { users: new Map(), patterns: [] }
  let rules = null
  for (const [index, raw] of text.split('\n').entries()) {
    const line = raw.trim()
    if (!line || line.startsWith('#')) continue
    const [word, ...rest] = line.split(/\s+/)
    if (word === 'user' && rest.length === 1) {
      rules = acl.users.get(rest[0]) ?? []
      acl.users.set(rest[0], rules)
    } else if ((word === 'topic' || word === 'pattern') && rest.length === 2 && rest[0] in ACCESSES) {
      const target = word === 'pattern' ? acl.patterns : rules
      // Before the first `user` line Mosquitto means the anonymous; we let none in.
      target?.push({ access: ACCESSES[rest[0]], filter: rest[1] })
    } else {
      throw new Error(`ACL line ${index + 1}: expected user, topic or pattern, was: ${line}`)
    }
  }
  return acl
}

function * filters (acl, username, access) {
  for (const rule of acl.users.get(username) ?? []) {
    if (rule.access.includes(access)) yield rule.filter
  }
  for (const rule of acl.patterns) {
    if (rule.access.includes(access)) yield rule.filter.replaceAll('%u', username)
  }
}

// Whether every topic that `asked` (a topic or a filter) stands for is inside `allowed`.
export function covers (allowed, asked) {
  const ours = allowed.split('/')
  const theirs = asked.split('/')
  for (const [index, level] of ours.entries()) {
    if (level === '#') return true
    if (index >= theirs.length || theirs[index] === '#') return false
    if (level !== '+' && level !== theirs[index]) return false
  }
  return ours.length === theirs.length
}

function allows (acl, username, access, asked) {
  for (const filter of filters(acl, username, access)) {
    // `#` and `+` at the front do not stand for $SYS [MQTT-4.7.2-1].
    if (asked.startsWith('$') !== filter.startsWith('$')) continue
    if (covers(filter, asked)) return true
  }
  return false
}

export const mayPublish = (acl, username, topic) => allows(acl, username, 'write', topic)
export const mayRead = (acl, username, topic) => allows(acl, username, 'read', topic)
export const maySubscribe = (acl, username, filter) => allows(acl, username, 'read', filter)
