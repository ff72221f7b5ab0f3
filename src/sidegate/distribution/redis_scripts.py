"""What has to happen at once in Redis, on the keys of one organization."""

from typing import Final

from sidegate.redis_link.link import make_script

READ: Final = make_script(
    """
-- KEYS revision, header, subjects, keys, digests, log, pages, ids
-- ARGV revision known, revision of the header known (0: none), number of accounts, accounts..., ids of keys...
-- Returns revision, header or 1 if it is the one known, changes since or false if they are not all kept, then one
-- record or false for each account and key. Of a header above 256 KiB only the beginning and the length: it is read in
-- pieces.
local revision = redis.call('GET', KEYS[1])
if not revision then return false end
local known, header_known, accounts = ARGV[1], ARGV[2], tonumber(ARGV[3])
local header = redis.call('GETRANGE', KEYS[2], 0, 255)
if header == '' then
  header = false
elseif header_known ~= '0' and string.match(header, '^sidegate%-record %d+ header (%d+) ') == header_known then
  header = 1
else
  local length = redis.call('STRLEN', KEYS[2])
  if length > 262144 then header = {header, length} else header = redis.call('GET', KEYS[2]) end
end
local changes = false
if known == revision then
  changes = {}
elseif known ~= '0' then
  -- The entry of the revision known says that everything after it is kept too.
  local found = redis.call('XRANGE', KEYS[6], known .. '-0', '+')
  if found[1] and found[1][1] == known .. '-0' then
    changes = {}
    for i = 2, #found do changes[#changes + 1] = found[i][2][2] end
  end
end
local answer = {revision, header, changes}
for i = 4, 3 + accounts do answer[#answer + 1] = redis.call('HGET', KEYS[3], ARGV[i]) end
for i = 4 + accounts, #ARGV do answer[#answer + 1] = redis.call('HGET', KEYS[4], ARGV[i]) end
return answer
"""
)

COMMIT: Final = make_script(
    """
-- KEYS revision, header, subjects, keys, digests, log, pages, ids, staged hash; then the stream of changes if it is on
-- this server
-- ARGV expected revision (0: none), new revision, last moment (Unix ms; 0: none), how much of the log is kept, how much
-- of the stream is kept, event, header or '', number of fields (-1: they are staged), fields and records...,
-- fields that go...
-- A field is s:ACCOUNT, k:ID, p:PAGE or i:NUMBER, or one of them, or h, with d: before it for the digest.
local expected = {'string', 'string', 'hash', 'hash', 'hash', 'stream', 'hash', 'hash', 'hash', 'stream'}
for i = 1, #KEYS do
  -- Before anything is written: what a script has written stays when it fails.
  local found = redis.call('TYPE', KEYS[i]).ok
  if found ~= 'none' and found ~= expected[i] then
    return redis.error_reply('WRONGTYPE ' .. KEYS[i] .. ' is a ' .. found .. '; remove it, then publish again')
  end
end
local at = redis.call('GET', KEYS[1]) or '0'
if at ~= ARGV[1] then return {0, at} end
if ARGV[3] ~= '0' then
  local now = redis.call('TIME')
  if now[1] * 1000 + math.floor(now[2] / 1000) > tonumber(ARGV[3]) then return {-1, at} end
end
local into = {s = KEYS[3], k = KEYS[4], d = KEYS[5], p = KEYS[7], i = KEYS[8]}
local count = tonumber(ARGV[8])
if count < 0 then
  count = 0
  if redis.call('EXISTS', KEYS[9]) == 0 then
    return redis.error_reply('NOSTAGE what was gathered is gone; publish again')
  end
  local cursor = '0'
  repeat
    local page = redis.call('HSCAN', KEYS[9], cursor, 'COUNT', 1000)
    cursor = page[1]
    for i = 1, #page[2], 2 do
      local field = page[2][i]
      redis.call('HSET', into[string.sub(field, 1, 1)], string.sub(field, 3), page[2][i + 1])
    end
  until cursor == '0'
  redis.call('UNLINK', KEYS[9])
else
  for i = 9, 8 + 2 * count, 2 do
    redis.call('HSET', into[string.sub(ARGV[i], 1, 1)], string.sub(ARGV[i], 3), ARGV[i + 1])
  end
end
for i = 9 + 2 * count, #ARGV do
  redis.call('HDEL', into[string.sub(ARGV[i], 1, 1)], string.sub(ARGV[i], 3))
end
if ARGV[7] ~= '' then redis.call('SET', KEYS[2], ARGV[7]) end
redis.call('SET', KEYS[1], ARGV[2])
-- A log that was written by something else, with later ids, is of no use to anybody.
local last = redis.call('EXISTS', KEYS[6]) == 1 and redis.call('XREVRANGE', KEYS[6], '+', '-', 'COUNT', 1)[1]
if last and tonumber(string.match(last[1], '^%d+')) >= tonumber(ARGV[2]) then redis.call('UNLINK', KEYS[6]) end
redis.call('XADD', KEYS[6], 'MAXLEN', '~', ARGV[4], ARGV[2] .. '-0', 'event', ARGV[6])
if KEYS[10] then redis.call('XADD', KEYS[10], 'MAXLEN', '~', ARGV[5], '*', 'event', ARGV[6]) end
return {1, ARGV[2]}
"""
)
