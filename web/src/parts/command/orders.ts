/** Orders of a device, asked for again while one is under way and when an event says so. */
import { onBeforeUnmount, shallowRef, type Ref } from 'vue'
import { call, query } from '../../api/client.ts'
import { useFresh } from '../../api/events.ts'
import type { Page } from '../../api/types.ts'
import type { Order } from './types.ts'

const PACE_MS = 2000

export function useOrders(deviceId: string, limit: number, wanted: (order: Order) => boolean): { orders: Ref<Order[]>; refresh: () => Promise<void> } {
  const orders = shallowRef<Order[]>([])
  let timer = 0
  async function load(): Promise<void> {
    window.clearTimeout(timer)
    const page = await call<Page<Order>>('GET', `/orders${query({ device_id: deviceId, limit })}`)
    orders.value = page.items.filter(wanted)
    if (orders.value.some((order) => order.open)) timer = window.setTimeout(() => void fresh.refresh(), PACE_MS)
  }
  const fresh = useFresh(load, { wants: (event) => event.device_id === deviceId && event.type === 'order_changed' })
  onBeforeUnmount(() => window.clearTimeout(timer))
  return { orders, refresh: async () => await fresh.refresh() }
}
