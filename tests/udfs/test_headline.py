from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from udfs.headline import headline

BODY = (
    "El consejo votó el martes a favor de cerrar la calle del río a los coches entre mayo y septiembre. "
    "Los comerciantes habían avisado de que perderían clientes."
)
BODY_CA = "Després de molts anys amb un sistema de fòrums propi, finalment hem actualitzat els fòrums de Softcatalà. "
BODY_JA = "市議会は火曜日、五月から九月まで川沿いの道路を車両通行止めにすることを決めた。商店主らは警告していた。"
BODY_EL = "Το δημοτικό συμβούλιο αποφάσισε την Τρίτη να κλείσει τον παραποτάμιο δρόμο για τα αυτοκίνητα από τον Μάιο."


@pytest.mark.parametrize(
    "line",
    [
        "La ciudad cierra la calle del río en verano",
        "Renovem els fòrums d'ajuda",
        'Jack Ross: "Mi objetivo primordial es dirigir Escocia"',
        "Softcatalà presenta la traducció al català del Firefox 3.6",
        "Ayr 38 - Melrose 17: un Ayr invicto sube a la cima",
        "¿Qué es el hip hop consciente?",
        "EE. UU. y la UE pactan un acuerdo",
        "iPhone y iPad suben de precio en octubre",
        "Brexit: El Regne Unit es penediria sempre de perdre fabricants",
        "Los incendios (y sus causas) en Galicia",
        "CORTES DE AGUA Y DEMOLICIONES",
    ],
)
def test_headlines(line: str) -> None:
    assert headline(f"{line}\n\n{BODY}\n{BODY_CA}") == line


@pytest.mark.parametrize(
    "line",
    [
        pytest.param("Muchas gracias, señora presidenta.", id="salutation of a speech"),
        pytest.param("Señora presidenta, señorías:", id="address of a speech"),
        pytest.param("(Aplausos y rumores en los escaños)", id="stage direction"),
        pytest.param("La ciudad cerrará la calle del río en verano.", id="sentence"),
        pytest.param("Lo dijo ayer. Luego se fue a casa sin ella", id="two sentences"),
        pytest.param('La alcaldesa dijo: "No cerraremos la calle del río."', id="sentence within quotes"),
        pytest.param("y la alcaldesa anunció autobuses gratis", id="rest of a sentence"),
        pytest.param("La alcaldesa anunció autobuses gratis,", id="start of a sentence"),
        pytest.param("La alcaldesa anunció auto-", id="broken word"),
        pytest.param('La alcaldesa anunció "autobuses gratis', id="quote left open"),
        pytest.param("¿Cerrará la ciudad la calle del río", id="question left open"),
        pytest.param("Leer más", id="two words"),
        pytest.param("Ingredientes para cuatro personas:", id="heading of a list"),
        pytest.param("- Tres manzanas y dos peras", id="entry of a list"),
        pytest.param("2. Pelar las tres manzanas", id="numbered step"),
        pytest.param("Autor: Juan Pérez García", id="byline"),
        pytest.param("12/03/2019 14:35 actualizado 15:00", id="date"),
        pytest.param("Inicio » Noticias » Sociedad", id="breadcrumb"),
        pytest.param("Noticias - Sociedad - El Diario de Aquí", id="window title"),
        pytest.param("Visite www.example.com para más noticias", id="address"),
        pytest.param("Escriba a redaccion@example.com sus preguntas", id="mail address"),
        pytest.param("{{Infobox ciudad de la provincia}}", id="template"),
        pytest.param("La ciudad de " + "muy larga historia " * 8, id="too long"),
    ],
)
def test_lines_that_are_none(line: str) -> None:
    assert headline(f"{line}\n\n{BODY}\n{BODY_CA}") is None


def test_a_heading_mark_is_taken_off() -> None:
    assert headline(f"# Come usare la matrice del pendolarismo #\n\n* autore: Totò\n* issue: 105\n\n{BODY}") == (
        "Come usare la matrice del pendolarismo"
    )


def test_a_marked_heading_may_stand_over_more_lines_than_an_unmarked_one() -> None:
    rows = "\n".join(f"* campo {number}" for number in range(12))
    assert headline(f"# Creare una GIF animata\n{rows}\n{BODY}") == "Creare una GIF animata"
    assert headline(f"Creare una GIF animata\n{rows}\n{BODY}") is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "La ciudad cierra la calle",
        "La ciudad cierra la calle\nNada más que decir hoy",
        "La ciudad cierra la calle del río en verano\nEl consejo votó el martes a favor de cerrar la calle del río a "
        "los coches entre mayo y todo junio.",
        "Tres manzanas rojas\nDos peras verdes\nUn limón amarillo\nMedia taza de azúcar\n" * 3,
        f"La ciudad cierra la calle del río en verano\nde la mayor parte de los coches, se supo. {BODY}",
        f"La ciudad cierra la calle del río en verano y\nlos coches ya no pueden pasar por ella hasta\n"
        f"septiembre y quizás tampoco después de aquel\nmes según dijo la alcaldesa en la reunión del\nmartes. {BODY}",
    ],
    ids=["nothing", "one line", "no prose", "short body", "list", "sentence that goes on", "text broken at a width"],
)
def test_texts_without_a_headline(text: str) -> None:
    assert headline(text) is None


def test_text_broken_at_a_width_that_begins_its_lines_with_capitals() -> None:
    lines = (
        "Der Gemeinderat hat am Dienstag die\n"
        "Uferstraße vom Mai bis September für\n"
        "Autos und andere Kraftfahrzeuge und\n"
        "Motorräder gesperrt, sehr zum Ärger\n"
    )
    assert headline(f"{lines}{BODY}\n{BODY}") is None
    assert headline(f"Der Gemeinderat sperrt die Uferstraße\n{BODY}\n{BODY}") is not None


def test_other_scripts() -> None:
    assert headline(f"川沿いの道路が夏に閉鎖\n{BODY_JA}") == "川沿いの道路が夏に閉鎖"
    assert headline(f"川沿いの道路は夏に閉鎖されます。\n{BODY_JA}") is None
    assert headline(f"Κλείνει ο παραποτάμιος δρόμος\n{BODY_EL}") == "Κλείνει ο παραποτάμιος δρόμος"


def test_a_script_without_capitals_shows_a_broken_text_by_its_width() -> None:
    first = "नगर परिषद ने मंगलवार को नदी किनारे की सड़क को गर्मियों में"
    second = "गाड़ियों के लिए बंद करने का निर्णय लिया और दुकानदारों ने"
    body = f"{' '.join([second] * 6)}।"
    assert headline(f"{first}\n{second}\n{body}") is None
    assert headline(f"{first}\n{body}") == first


@given(st.lists(st.text(max_size=200), max_size=12))
def test_a_headline_is_part_of_the_first_line(lines: list[str]) -> None:
    text = "\n".join(lines)
    found = headline(text)
    if found is not None:
        first = next(line for line in text.split("\n") if line.strip())
        assert found in first
        assert found == found.strip()
        assert any(map(str.isalpha, found))
