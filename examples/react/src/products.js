import caddy from './img/caddy.svg'
import cups from './img/cups.svg'
import kettle from './img/kettle.svg'

export const products = [
  {
    slug: 'kettle', name: 'Iron kettle', line: 'Cast iron, 1.2 litres', price: '€89.00', tint: 'mist', picture: kettle, film: true,
    story: 'A heavy, quiet kettle. The iron takes its time to warm, and then keeps the water hot through a second pot and most of a third.',
  },
  {
    slug: 'cups', name: 'Four cups', line: 'Stoneware, 140 ml each', price: '€36.00', tint: 'sand', picture: cups,
    story: 'Thin at the lip and thick at the foot, so that the tea is hot and the fingers are not. No two are quite the same.',
  },
  {
    slug: 'caddy', name: 'Cherry caddy', line: 'Bark and paper, 200 g', price: '€42.00', tint: 'blossom', picture: caddy,
    story: 'The lid slides down by its own weight and shuts without a sound. What is inside smells in a year as it did today.',
  },
]
