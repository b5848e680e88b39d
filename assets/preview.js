// The note of a preview, which goes before the answer of a simulated visit: what is simulated, until when, and the way out.

/** @param {string} name of the site @param {string} text what is simulated @param {number} until Unix milliseconds */
export default function (name, text, until) {
  const doc = document, own = /** @type {any} */ (doc.currentScript)
  const at = new URL(own.src), base = at.href.split('?')[0].slice(0, -3)
  // The page sees the state of its real visitor, for whom this answer is not: as far as the runtime can see, it was asked for
  // by that state, so that it is taken as it is, and not fetched anew.
  const mirror = ('; ' + doc.cookie).split('; stile_' + name + '_state=')[1] || ''
  at.searchParams.set('s', mirror.split(';')[0] + (/** @type {any} */ (navigator).globalPrivacyControl ? '!' : ''))
  Object.defineProperty(own, 'src', { value: at.href })

  const place = () => {
    if (doc.querySelector('stile-preview')) return
    const host = doc.createElement('stile-preview'), end = doc.createElement('a')
    host.role = 'complementary'
    host.ariaLabel = 'Preview'
    host.append('Preview: ' + text + ', until ' + new Date(until).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' }) + '. Choices made here are not stored. ', end)
    end.href = base + '/preview/end?to=' + encodeURIComponent(location.href)
    end.textContent = 'End it'
    Object.assign(host.style, {
      all: 'revert', position: 'fixed', zIndex: '2147483647', insetInline: '0', top: '8px', width: 'fit-content', maxWidth: 'calc(100% - 16px)',
      margin: '0 auto', padding: '8px 16px', boxSizing: 'border-box', borderRadius: '8px', font: '14px/1.5 system-ui,sans-serif', textAlign: 'start',
      color: '#fff', background: '#4b2a7b', boxShadow: '0 2px 12px #0006',
    })
    Object.assign(end.style, { all: 'revert', color: '#fff', fontWeight: '600', textDecoration: 'underline', display: 'inline-block', minHeight: '24px' })
    doc.body.append(host)
  }
  if (doc.readyState == 'loading') doc.addEventListener('DOMContentLoaded', place, { once: true })
  else place()
}
