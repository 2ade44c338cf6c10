"""Words of headers in several languages, and the roles they hint at.

A header is a weak hint: it decides between roles that the values allow, never against them.
Words are compared without case and accents, whole or as the head or tail of a longer word
(`Rechnungsbetrag`, `custname`), in English, German, French, Spanish, Italian, Portuguese, Dutch,
Polish and the Scandinavian languages.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Final

from muniment.reconcile.columns import Role

_WORDS: Final[dict[Role, str]] = {
    Role.identifier: """id key uid uuid guid pk rowid recordid schluessel clave cle chiave sleutel
        klucz identifier identifiant identificador identificativo kennung lfd""",
    Role.reference: """ref reference referenz referencia riferimento referentie referencja
        referens no nr num number nummer numero number code kode codigo codice belegnummer beleg
        document voucher invoice inv rechnung rechnungsnummer facture factura fattura fatura
        factuur faktura order auftrag bestellung commande pedido ordine bestelling zamowienie
        po account konto compte cuenta conto conta rekening iban bic swift sku ean isbn issn doi
        vat ust tva iva nif nip ssn tax taxid check cheque scheck customer kunde kundennummer
        client cliente klant klient transaction txn remittance soc sec""",
    Role.name: """name names nom nombre nome naam nazwa namn navn vorname nachname surname lastname
        firstname given family prenom apellido apellidos cognome voornaam achternaam imie
        nazwisko fornamn efternamn fornavn efternavn company firma societe entreprise empresa
        azienda ditta bedrijf person payer payee vendor supplier lieferant fournisseur proveedor
        fornitore fornecedor leverancier dostawca kreditor debitor customer kunde client cliente
        klant author authors autor autoren auteur autore title titel titre titulo titolo tytul
        product produkt produit producto prodotto brand marke marque marca organization
        organisation merchant beneficiary zahler empfaenger auftraggeber artist album song""",
    Role.amount: """amount amt total sum betrag summe brutto netto gross net montant somme importe
        monto suma importo somma valor valore bedrag totaal kwota belopp belob price preis prix
        precio prezzo preco prijs cena pris cost kosten cout coste costo value wert debit credit
        soll haben balance saldo solde balans payment zahlung paid due fee charge tax steuer
        salary gehalt turnover umsatz revenue discount rabatt""",
    Role.currency: "currency curr ccy waehrung wahrung devise monnaie moneda valuta moeda waluta",
    Role.date: """date datum fecha data dato day tag dia giorno dag dzien time zeit born birth
        birthday geburtsdatum geburtstag naissance nacimiento nascita dob created updated posted
        buchungstag wertstellung valutadatum due faellig fallig echeance vencimiento scadenza""",
    Role.address: """address addr adresse direccion indirizzo endereco adres street strasse str
        rue calle via rua straat ulica gata vej road city town stadt ort ville ciudad citta
        cidade plaats miasto stad suburb state province provinz provincia region county kanton
        bundesland country land pais paese kraj zip zipcode postcode postal plz postleitzahl
        cep postnummer hausnummer house location lieu""",
    Role.free_text: """description desc descr beschreibung text memo note notes notiz bemerkung
        comment comments kommentar verwendungszweck zweck buchungstext libelle detail details
        remark remarks concepto descripcion descrizione descricao omschrijving opis beskrivning
        beskrivelse narrative abstract summary message subject betreff objet asunto oggetto
        plot content body review""",
    Role.category: """type typ kind category kategorie categorie categoria class klasse status
        state group gruppe groupe grupo gruppo genre sex gender geschlecht method art sector
        branch venue segment flag""",
    Role.phone: """phone telephone telefon telefono telefone telefoon tel mobile mobil handy
        cell fax portable movil cellulare celular komorka""",
    Role.email: "email mail courriel correo epost emailaddress",
    Role.number: """year jahr annee ano anno jaar rok age alter quantity qty menge quantite
        cantidad quantita quantidade aantal ilosc count anzahl nombre rating score percent prozent
        lat lon lng latitude longitude weight gewicht height length size volume month monat mois
        mes mese hours stunden pages seiten number""",
}

_HINTS: Final[dict[str, tuple[Role, ...]]] = {}
for _role, _text in _WORDS.items():
    for _word in _text.split():
        if _role not in _HINTS.get(_word, ()):
            _HINTS[_word] = (*_HINTS.get(_word, ()), _role)

_TAILS: Final = sorted((word for word in _HINTS if len(word) >= 4), key=len, reverse=True)
"""Words that count at the end of a longer one: German and Dutch compounds, `custname`."""

_SPLIT: Final = re.compile(r"[^a-z]+")
_CAMEL: Final = re.compile(r"(?<=[a-z])(?=[A-Z])")


@lru_cache(4096)
def header_words(header: str) -> tuple[str, ...]:
    """Return the words of a header, without case, accents and signs: `payer_name`, `dueDate`."""
    spaced = _CAMEL.sub(" ", header).casefold()
    spaced = spaced.replace("ä", "ae").replace("ö", "oe").replace("ü", "ue")
    plain = unicodedata.normalize("NFKD", spaced)
    plain = "".join(sign for sign in plain if not unicodedata.combining(sign))
    return tuple(word for word in _SPLIT.split(plain) if word)


@lru_cache(4096)
def hinted_roles(header: str) -> tuple[Role, ...]:
    """Return the roles that a header hints at, the strongest first; empty if none.

    The last word says what a thing is in Germanic compounds (`invoice date`), the first one in
    Romance ones (`date de facture`): a word in either place counts before one in between.
    """
    words = header_words(header)
    if not words:
        return ()
    found: list[Role] = []
    for word in (words[-1], words[0], *words[1:-1]):
        roles = _HINTS.get(word)
        if roles is None and word.endswith("s"):
            roles = _HINTS.get(word[:-1])
        if roles is None:
            tail = next((tail for tail in _TAILS if word.endswith(tail)), None)
            roles = _HINTS[tail] if tail else ()
        found.extend(role for role in roles if role not in found)
    return tuple(found)
