/**
 * What is changed outside of the hub, for the whole process, and how it is changed back.
 */

/**
 * Something outside that is installed when the first one asks for it, and taken back when the last one has let go.
 *
 * @internal
 */
export const refCounted = (install: () => () => void): (() => () => void) => {
  let users = 0
  let uninstall: (() => void) | undefined
  return () => {
    if (users === 0) uninstall = install()
    users++
    let released = false
    return () => {
      if (released) return
      released = true
      if (--users > 0) return
      uninstall?.()
      uninstall = undefined
    }
  }
}

/**
 * Several of them as one: all are installed, or, where one of them cannot be, none.
 *
 * @internal
 */
export const installAll = (installs: ReadonlyArray<() => () => void>): (() => void) => {
  const takeBack: Array<() => void> = []
  const release = (): void => {
    for (const undo of takeBack.splice(0).reverse()) undo()
  }
  try {
    for (const install of installs) takeBack.push(install())
  } catch (error) {
    release()
    throw error
  }
  return release
}

/**
 * Puts another function in the place of `target[name]`; the function it returns puts the old one back, unless somebody has put
 * a third one over it since: then ours stays, and passes every call on.
 *
 * @internal
 */
export const patchMethod = <T extends object, K extends keyof T>(
  target: T,
  name: K,
  wrap: (original: T[K], isActive: () => boolean) => T[K]
): (() => void) => {
  const original = target[name]
  const isOwn = Object.hasOwn(target, name)
  let active = true
  const patched = wrap(original, () => active)
  target[name] = patched
  return () => {
    active = false
    if (target[name] !== patched) return
    if (isOwn) target[name] = original
    else delete target[name]
  }
}
