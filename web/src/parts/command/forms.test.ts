import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FORMS, READ_ONLY, emptyRow, planOf, planText, withoutEmpty, writable } from './forms.ts'

test('a plan comes back as it was typed', () => {
  const typed = ['08:00:00-18:00:00, 20:00:00-21:30:00', '', '', '', '', '', '00:00:00-23:59:59']
  const schedules = planOf(typed)
  assert.ok(Array.isArray(schedules))
  assert.deepEqual(schedules.map((day) => day['week_day_num']), [1, 7])
  assert.deepEqual(planText({ record_schedules: schedules }), typed)
})

test('seconds may be left out, and a day that cannot be read is named', () => {
  assert.deepEqual(planOf(['8:00-9:30']), [
    { week_day_num: 1, time_segments: [{ start_hour: 8, start_min: 0, start_sec: 0, stop_hour: 9, stop_min: 30, stop_sec: 0 }] },
  ])
  assert.equal(planOf(['', 'all day']), 1)
})

test('a plan with a weekday that is none is left out', () => {
  assert.deepEqual(planText({ record_schedules: [{ week_day_num: 9, time_segments: [] }] }), ['', '', '', '', '', '', ''])
})

test('what is counted is not given back', () => {
  const told = { length: 704, sum_num: 1, items: [{ text: 'a', x: 1, y: 2 }] }
  assert.deepEqual(writable(told), { length: 704, items: [{ text: 'a', x: 1, y: 2 }] })
  assert.equal(writable(3), 3)
})

test('what is left empty is not told to the device', () => {
  assert.deepEqual(withoutEmpty({ name: '', expiration: 0 }), { expiration: 0 })
})

test('rows begin with a number of their own', () => {
  const list = FORMS['picture_mask']?.list
  assert.ok(list)
  assert.deepEqual([emptyRow(list, 0)['seq'], emptyRow(list, 2)['seq']], [1, 3])
  for (const name of READ_ONLY) assert.equal(FORMS[name], undefined)
})
