import assert from 'node:assert/strict'
import { mock, test } from 'node:test'
import { dragZoomOf, KEYS, mayMove, pictureIn, Steering, together, type Channel, type Vector } from './steer.ts'

function camera(): { said: string[]; answers: (() => void)[]; failures: unknown[]; channel: Channel } {
  const said: string[] = []
  const answers: (() => void)[] = []
  const failures: unknown[] = []
  const channel: Channel = {
    move: (speed: Vector) => {
      said.push(JSON.stringify(speed))
      return new Promise((resolve) => answers.push(resolve))
    },
    stop: async () => void said.push('stop'),
    stopAndLeave: () => void said.push('leave'),
    failed: (problem) => void failures.push(problem),
    isRefusal: (problem) => problem === 'held',
  }
  return { said, answers, failures, channel }
}

const settle = async (): Promise<void> => {
  for (let turn = 0; turn < 10; turn += 1) await Promise.resolve()
}

test('a held button moves once, is renewed, and stops once when it is released', async (context) => {
  context.mock.timers.enable({ apis: ['setInterval', 'setTimeout'] })
  const { said, answers, channel } = camera()
  const steering = new Steering(channel)
  steering.hold({ pan: 1 })
  answers.shift()!()
  await settle()
  context.mock.timers.tick(1_000)
  assert.deepEqual(said, ['{"pan":1}', '{"pan":1}'])
  answers.shift()!()
  await settle()
  steering.release()
  steering.release()
  await settle()
  context.mock.timers.tick(60_000)
  assert.deepEqual(said.slice(2), ['stop'])
})

test('a stop does not overtake its movement, and waits for it a moment only', async (context) => {
  context.mock.timers.enable({ apis: ['setInterval', 'setTimeout'] })
  const { said, answers, channel } = camera()
  const steering = new Steering(channel)
  steering.hold({ pan: 1 })
  steering.release()
  await settle()
  assert.deepEqual(said, ['{"pan":1}'])
  answers.shift()!()
  await settle()
  assert.deepEqual(said, ['{"pan":1}', 'stop'])
  steering.hold({ tilt: 1 })
  steering.release()
  context.mock.timers.tick(400)
  await settle()
  assert.deepEqual(said.slice(2), ['{"tilt":1}', 'stop'])
})

test('the newest direction follows what is under way', async (context) => {
  context.mock.timers.enable({ apis: ['setInterval', 'setTimeout'] })
  const { said, answers, channel } = camera()
  const steering = new Steering(channel)
  for (const speed of [{ pan: 1 }, { tilt: 1 }, { pan: -1 }]) steering.hold(speed)
  answers.shift()!()
  await settle()
  assert.deepEqual(said, ['{"pan":1}', '{"pan":-1}'])
  steering.leave()
  steering.leave()
  assert.deepEqual(said.slice(2), ['leave'])
})

test('a page that goes while its stop waits sends it all the same', async (context) => {
  context.mock.timers.enable({ apis: ['setInterval', 'setTimeout'] })
  const { said, channel } = camera()
  const steering = new Steering(channel)
  steering.hold({ pan: 1 })
  steering.release()
  steering.leave()
  context.mock.timers.tick(400)
  await settle()
  assert.deepEqual(said, ['{"pan":1}', 'leave'])
})

test('a page that goes while its movement is on its way stops the camera, and not when it was refused', async () => {
  for (const [why, expected] of [['network', ['leave']], ['held', []]] as const) {
    const { said, channel } = camera()
    channel.move = () => Promise.reject(why)
    const steering = new Steering(channel)
    steering.hold({ zoom: 1 })
    await settle() // a browser fails what is on its way before it says that the page goes
    steering.leave()
    steering.leave()
    assert.deepEqual(said, expected)
  }
})

test('a refusal ends the movement and is told once', async (context) => {
  context.mock.timers.enable({ apis: ['setInterval', 'setTimeout'] })
  const failures: unknown[] = []
  const move = mock.fn(async () => {
    throw new Error('held by somebody')
  })
  const steering = new Steering({ move, stop: async () => {}, stopAndLeave: () => {}, failed: (problem) => void failures.push(problem), isRefusal: () => true })
  steering.hold({ pan: 1 })
  await settle()
  context.mock.timers.tick(10_000)
  assert.equal(failures.length, 1)
  assert.equal(move.mock.callCount(), 1)
  assert.ok(!steering.isHeld)
})

test('keys add up, and opposite ones stand still', () => {
  const of = (...names: string[]): Vector => together(names.map((name) => KEYS[name]!), 0.5)
  assert.deepEqual(of('ArrowLeft', 'ArrowUp', '+'), { pan: -0.5, tilt: 0.5, zoom: 0.5 })
  assert.deepEqual(of('+', '='), { zoom: 0.5 })
  assert.deepEqual(of('ArrowLeft', 'ArrowRight', 'ArrowUp'), { pan: 0, tilt: 0.5 })
})

test('the picture is found between its black bars', () => {
  assert.deepEqual(pictureIn({ left: 10, top: 0, width: 400, height: 100 }, 200, 100), { left: 110, top: 0, width: 200, height: 100 })
})

test('a drag is a box in pixels of the video; leftwards zooms out; a click is none', () => {
  const picture = { left: 100, top: 50, width: 352, height: 288 }
  const drag = (x1: number, y1: number, x2: number, y2: number) => dragZoomOf({ x: x1, y: y1 }, { x: x2, y: y2 }, picture, 704, 576)
  assert.deepEqual(drag(100, 50, 276, 194), {
    direction: 'in', window_width: 704, window_height: 576, center_x: 176, center_y: 144, width: 352, height: 288,
  })
  assert.equal(drag(276, 194, 100, 50)?.direction, 'out')
  assert.equal(drag(110, 60, 113, 200), null)
  assert.deepEqual(drag(0, 0, 5_000, 5_000)?.width, 704)
})

test('only a fixed camera is known not to move', () => {
  assert.deepEqual([0, 1, 2, 3, 4, 5].map(mayMove), [true, true, true, false, true, true])
})
