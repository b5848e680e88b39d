import mark from './img/mark.svg'
import { products } from './products.js'
import { Heading, Link, usePath } from './router.jsx'
import { useConsent } from './useConsent.js'

export function App() {
  const path = usePath()
  return (
    <>
      <header className="top">
        <Link className="brand" to="/"><img src={mark} alt="" width="32" height="32" />EasyDser Tea</Link>
        <nav aria-label="Shop">
          <Link to="/">Shelf</Link>
          <Link to="/kettle">Kettle</Link>
          <Link to="/visit">Visit us</Link>
        </nav>
      </header>
      <main key={path}><Page path={path} /></main>
      <footer className="foot">
        <p><strong>A demonstration.</strong> EasyDser is fictitious, and nothing is for sale.</p>
        <button type="button" data-stile-open>Our cookies</button>
      </footer>
    </>
  )
}

function Page({ path }) {
  if (path === '/') return <Shelf />
  if (path === '/visit') return <Visit />
  const product = products.find(p => path === `/${p.slug}`)
  return product ? <Product {...product} /> : <Missing />
}

function Shelf() {
  return (
    <>
      <title>Everything for tea · EasyDser</title>
      <Heading>Everything for tea, and nothing else</Heading>
      <p className="lead">Three things that get better with use. Walk around: this is a React app, and no page is loaded anew.</p>
      <Cards of={products} />
    </>
  )
}

function Cards({ of }) {
  return (
    <ul className="cards">
      {of.map(p => (
        <li key={p.slug}>
          <Link to={`/${p.slug}`}>
            <span className={`tile ${p.tint}`}><img src={p.picture} alt="" width="400" height="400" /></span>
            <strong>{p.name}</strong><span className="soft">{p.line}</span><span>{p.price}</span>
          </Link>
        </li>
      ))}
    </ul>
  )
}

function Product({ slug, name, line, price, tint, picture, story, film }) {
  return (
    <>
      <title>{`${name} · EasyDser`}</title>
      <div className="product">
        <div className={`tile ${tint}`}><img src={picture} alt={`${name}, drawn`} width="400" height="400" /></div>
        <div>
          <Heading>{name}</Heading>
          <p className="lead">{line}</p>
          <p>{story}</p>
          <p className="price">{price}</p>
        </div>
      </div>
      {film && <Film of={slug} name={name} />}
      <Recommended beside={slug} />
    </>
  )
}

// A film of another company. Stile shows in its place who waits there, and gives the frame its src once it is allowed.
function Film({ of, name }) {
  return (
    <section aria-labelledby="film">
      <h2 id="film">The film</h2>
      <iframe className="film" data-stile="functional" data-embed="Kettle Films" data-src={`https://video.example/embed/${of}`}
        title={`Film: ${name}`} allow="fullscreen" />
    </section>
  )
}

// What is chosen for a visitor is functional here: it is drawn only when that is allowed, and goes when it no longer is.
function Recommended({ beside }) {
  if (!useConsent('functional')) return null
  return (
    <section aria-labelledby="recommended" className="recommended">
      <h2 id="recommended">Chosen for you</h2>
      <Cards of={products.filter(p => p.slug !== beside)} />
    </section>
  )
}

const seen = `new Image().src = 'https://counter.example/hit?site=HC-1001&event=hours'`

// Markup that waits comes with a route as well: the counter's event and the advertiser's pixel of this page.
function Visit() {
  return (
    <>
      <title>Visit us · EasyDser</title>
      <Heading>Come in for a cup</Heading>
      <p className="lead">12 Quay Lane, second door. The kettle is on.</p>
      <dl className="hours">
        <div><dt>Tuesday to Friday</dt><dd>10 to 18</dd></div>
        <div><dt>Saturday</dt><dd>9 to 14</dd></div>
        <div><dt>Sunday and Monday</dt><dd>closed</dd></div>
      </dl>
      <script type="text/plain" data-stile="analytics">{seen}</script>
      <img data-stile="marketing" data-src="https://pixel-b.example/p.gif?event=hours" alt="" width="1" height="1" className="pixel" />
    </>
  )
}

function Missing() {
  return (
    <>
      <title>Not on the shelf · EasyDser</title>
      <Heading>Not on the shelf</Heading>
      <p className="lead">There is no such page. <Link to="/">The shelf</Link> is here.</p>
    </>
  )
}
