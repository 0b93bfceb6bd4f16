/** One thing at a time: asks, remembers what went wrong, and forgets it at the next attempt. */
import { ref } from 'vue'
import { errorText } from '../../i18n/errors.ts'

/** Devices are given longer than the server's own answers: some are asked for each thing alone. */
export const PATIENCE_MS = 95_000

export function useAsking() {
  const isBusy = ref(false)
  const problem = ref('')
  async function asking(work: () => Promise<void>): Promise<boolean> {
    if (isBusy.value) return false
    isBusy.value = true
    problem.value = ''
    try {
      await work()
      return true
    } catch (error) {
      problem.value = errorText(error)
      return false
    } finally {
      isBusy.value = false
    }
  }
  return { isBusy, problem, asking }
}
