import test from 'ava'
import { layers } from '../../../../agent/sources/processes/attribution/layers.ts'

test('a path is mapped to the container that owns the layer, or to a layer without an owner', (t) => {
  const known = layers<string>()
  known.add('/var/lib/docker/overlay2/abc/diff', 'web')
  known.add('/var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots/12/fs', 'db')
  const rows: [string, string | null | undefined][] = [
    ['/var/lib/docker/overlay2/abc/diff/tmp/h', 'web'],
    ['/var/lib/docker/overlay2/abc/merged/tmp/h', 'web'],
    ['/var/lib/docker/overlay2/other/diff/bin/h', null],
    ['/var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots/12/fs/h', 'db'],
    ['/var/lib/docker/volumes/v/_data/h', undefined],
    ['/usr/bin/h', undefined],
    ['h', undefined],
    ['', undefined],
  ]
  for (const [path, owner] of rows) t.is(known.of(path), owner, path)
  known.remove('web')
  t.is(
    known.of('/var/lib/docker/overlay2/abc/diff/tmp/h'),
    null,
    'the layer of an ended container is still recognised as a layer',
  )
})

test('an upper directory near the root does not make the root a layer store', (t) => {
  const known = layers<string>()
  for (const upper of ['', '/upper', '/a/upper', 'relative/upper/dir']) known.add(upper, 'x')
  for (const path of ['/usr/bin/h', '/a/h', '/h']) t.is(known.of(path), undefined, path)
})
